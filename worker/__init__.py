"""The Celery edge."""
