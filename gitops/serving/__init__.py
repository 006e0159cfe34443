"""A trained model goes in; one bundle, one predictor and one KServe server come out.

The gate scores and the server answers through the same `Predictor`, so what was judged is what is
served.
"""
