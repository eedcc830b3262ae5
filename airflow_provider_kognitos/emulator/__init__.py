"""A local stand-in for the Kognitos REST API v2 and its upload storage, for trying DAGs without spending runs."""
