"""The command line. Thin: parse, call one function, render. Nothing here decides what a run is."""
