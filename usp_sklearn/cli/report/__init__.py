"""HTML reports of forecasts and of passes."""

from .page import backtest_report, forecast_report

__all__ = ["backtest_report", "forecast_report"]
