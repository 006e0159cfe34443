"""Kubeflow Pipelines: a pipeline named by file and function comes in; it is compiled and run, here or on a cluster.

`local` is a process of its own, `python -m gitops.adapters.kfp REQUEST`.
"""
