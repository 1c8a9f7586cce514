"""The durable-write engine: model, ports and the write, read, replay, jobs and sweep flows."""
