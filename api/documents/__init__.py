"""The OpenAPI document: what is said of each route, with an example of every answer."""
