"""The main job on real data and real parts: eight merge requests, a served model, a rollback."""
