"""Failover among endpoints of one service.

What users hold: `endpoint_pool` (the pool), `endpoint`, `options`, `lease` (one call), `stats`, `balancing` (whose turn
it is), `monitor` (active health checks), `discovery` (where endpoints come from).
What the pool is made of: a `roster` of each endpoint as a `member`, under the pool's lock; decisions about them in
`choice` and `outliers`; a `run` for each request on its way from endpoint to endpoint; a `journal` of what happened.
"""
