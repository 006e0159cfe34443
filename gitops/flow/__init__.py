"""The working halves of the stages: they let adapters ask the world and the core decide.

Commands call them for a person or a CI job, pipeline steps call them inside a pod.
"""
