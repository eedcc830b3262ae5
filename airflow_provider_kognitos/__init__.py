"""Apache Airflow provider for Kognitos."""

__version__ = "0.1.0"
