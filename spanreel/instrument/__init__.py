"""In the agent's process: taps, the responder that answers, the recorder. Light to import; never raises into the agent."""
