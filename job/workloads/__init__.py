"""Workloads that follow image streams: their triggers, pods, health and rollouts."""
