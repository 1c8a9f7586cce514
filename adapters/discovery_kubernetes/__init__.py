"""Endpoints of a Kubernetes Service, from its EndpointSlices, by list and watch."""

from .cluster import Cluster
from .service import KubernetesService
from .source import kubernetes

__all__ = ["Cluster", "KubernetesService", "kubernetes"]
