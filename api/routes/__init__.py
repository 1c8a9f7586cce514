"""The routes that the framework serves: jobs, health, administration, documentation."""
