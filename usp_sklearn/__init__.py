"""usp_sklearn: online probabilistic forecasting of streams, scikit-learn native."""
