"""The whole system as processes, over HTTP. A package, so that its tests share one stack and no others do."""
