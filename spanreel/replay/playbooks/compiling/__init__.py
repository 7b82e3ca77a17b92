"""From finished runs to a playbook: what they have in common becomes states, what varies becomes variables."""

from spanreel.replay.playbooks.compiling.compiler import Compiled, compile_runs
from spanreel.replay.playbooks.compiling.filling import Filled, params_of
from spanreel.replay.playbooks.compiling.observe import observe

__all__ = ["Compiled", "Filled", "compile_runs", "observe", "params_of"]
