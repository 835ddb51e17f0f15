"""Figures and tables of the thesis: each a function from results to a picture."""
