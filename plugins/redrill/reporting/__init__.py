"""Verdict, Allure results, HTML and terminal summaries."""
