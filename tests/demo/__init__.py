"""The main job on real data and real parts: eleven merge requests, a served model, a rollback."""
