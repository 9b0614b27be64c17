"""Renders chat templates with transformers, as the known answers of test/policies/chat-template.test.ts.

Run from the repository root: python test/golden/chat.py
The templates are small ones of our own, in the styles that model families use: what they exercise is the template language.
"""

import json
from pathlib import Path

from transformers.utils.chat_template_utils import render_jinja_template

TEMPLATES = {
    # Roles in marks; a default system turn; the answer's opening.
    "marks": """{%- if messages[0].role != 'system' %}<|im_start|>system
You help.<|im_end|>
{% endif -%}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}""",
    # Alternating turns that are checked; the system text joins the first question; special tokens; loop variables.
    "brackets": """{%- if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] | trim %}{% set turns = messages[1:] %}{% else %}{% set system = '' %}{% set turns = messages %}{% endif -%}
{{ bos_token }}{%- for m in turns %}
{%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate user and assistant.') }}{% endif %}
{%- if m['role'] == 'user' %}{{ '[INST] ' + (system + '\\n\\n' if loop.first and system else '') + m['content'] | trim + ' [/INST]' }}
{%- else %}{{ ' ' + m['content'] | trim + eos_token }}{%- endif %}
{%- endfor %}""",
    # Namespaces, macros, tools as JSON, tool calls, reversed loops, string methods, tests.
    "tools": """{%- macro turn(role, text) -%}<{{ role }}>{{ text }}</{{ role }}>
{% endmacro -%}
{%- set ns = namespace(last=-1, calls=0) %}
{%- for m in messages[::-1] %}{% if m.role == 'user' and ns.last == -1 %}{% set ns.last = messages|length - 1 - loop.index0 %}{% endif %}{% endfor -%}
{% if tools is not none and tools %}<tools>
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}</tools>
{% endif -%}
{% for m in messages -%}
{% if m.tool_calls is defined and m.tool_calls -%}
{% for call in m.tool_calls %}{% set ns.calls = ns.calls + 1 %}{{ turn('call', call.function.name ~ ' ' ~ (call.function.arguments | tojson)) }}{% endfor -%}
{% elif m.role == 'assistant' and '</think>' in m.content and loop.index0 < ns.last -%}
{{ turn('assistant', m.content.split('</think>')[-1].lstrip('\\n')) }}
{%- else -%}
{{ turn(m.role, m.content if m.content is string else m.content | map(attribute='text') | join(' ')) }}
{%- endif -%}
{% endfor %}calls {{ ns.calls }}{% if add_generation_prompt %}
<assistant>{% endif %}""",
}

USER = {"role": "user", "content": "What is 6 × 7?"}
CONVERSATIONS = {
    "one": [USER],
    "system": [{"role": "system", "content": " Be brief. "}, USER],
    "turns": [USER, {"role": "assistant", "content": "<think>\n6 sevens\n</think>\n\n42 "}, {"role": "user", "content": "And \"8\" <b>&</b> 9?\n"}],
    "calls": [
        USER,
        {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": "times", "arguments": {"a": 6, "b": [7, 0.5, True, None, "é"]}}}]},
        {"role": "tool", "content": "42", "name": "times"},
    ],
    "parts": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
    "wrong": [{"role": "assistant", "content": "I begin."}],
}
TOOL = {"type": "function", "function": {"name": "times", "description": "Multiplies \"two\" numbers", "parameters": {"type": "object", "properties": {}}}}
OPTIONS = [
    {},
    {"addGenerationPrompt": False},
    {"variables": {"enable_thinking": False}},
    {"tools": [TOOL]},
]

cases = []
for name, template in TEMPLATES.items():
    for conversation, messages in CONVERSATIONS.items():
        if (conversation == "parts") and name != "tools":
            continue
        for options in OPTIONS:
            if ("variables" in options and name != "marks") or ("tools" in options and name != "tools"):
                continue
            try:
                rendered, _ = render_jinja_template(
                    conversations=[messages],
                    chat_template=template,
                    tools=options.get("tools"),
                    add_generation_prompt=options.get("addGenerationPrompt", True),
                    bos_token="<s>",
                    eos_token="</s>",
                    **options.get("variables", {}),
                )
                answer = {"text": rendered[0]}
            except Exception as error:  # the template refuses
                answer = {"error": str(error)}
            cases.append({"template": name, "conversation": conversation, "options": options, **answer})

out = {"templates": TEMPLATES, "conversations": CONVERSATIONS, "cases": cases}
Path("test/golden/chat/golden.json").write_text(json.dumps(out, ensure_ascii=False, indent=1) + "\n")
print(len(cases), "cases")
