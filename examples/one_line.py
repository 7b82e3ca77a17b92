"""One line records a plain script: its model call, its tool call, and the run they belong to.

OPENAI_BASE_URL and OPENAI_API_KEY say which model answers. Afterwards: `spanreel show last`.
"""

from __future__ import annotations

from openai import OpenAI

import spanreel

spanreel.instrument()


@spanreel.tool(safety="read")
def weather(city: str) -> str:
    """The weather of a city."""
    return f"21C in {city}"


question = f"It is {weather('Oslo')}. What shall I wear?"
answer = OpenAI().chat.completions.create(
    model="gpt-4.1-mini", messages=[{"role": "user", "content": question}]
)
print(answer.choices[0].message.content)
