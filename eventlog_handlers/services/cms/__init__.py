"""Alibaba Cloud CloudMonitor: PutCustomEvent."""
