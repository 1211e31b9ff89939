from __future__ import annotations
from tokencalc.tokens.layout import Reach
B = dict(request=4000, message=3000, assistant=3000)
_C = {**B, "call": 27000, "result": 27000, "thinking": 29000, "schema": 140000, "schema_text": 1000, "definition": 1000}
G = dict(as_words=1, message=1000, assistant=1000, system=1000, call=5000, result=5000, tool=18000, object=2000, property=13000, required=-3000, tool_described=-1700, pair=3000)
_N = ("claude","claude_4_7","claude_2","claude_3_opus","claude_3_haiku","claude_3_7","claude_3","claude_4","claude_sonnet_5","claude_opus_5")
WEIGHTS = {
  **{n: {**_C, "tools_auto": 497000, "tools_any": 589000, "tools_tool": 604000} for n in _N},
  "gemini": G, "gemini_2_5": G, "gemini_2_0": {**G, "message":0,"assistant":0,"system":0,"tool":3000,"property":3500}, "gemini_vertex": {**G, "message":0,"assistant":0,"system":0,"tool":3000,"property":3500},
  "mistral": dict(request=1000, message=2000, assistant=1000, system=2000, tool=10000,tools_auto=3000),
  "llama": dict(request=5000,message=5000,assistant=5000,system=5000), "llama_3_1": dict(request=42000,message=5000,assistant=5000,system=5000), "llama_4": dict(request=5000,message=5000,assistant=5000,system=5000,tools_auto=657000),
  "qwen": dict(request=3000,message=5000,assistant=5000,system=5000),
  "unknown": dict(request=3000,message=4000,assistant=4000,system=4000,tools_auto=300000,tool=10000,call=10000,result=10000,definition=1000,schema_text=1000),
}
REACH = {n: {} for n in WEIGHTS}
OPENAI_REACH = {n: {} for n in ("chat","responses","chat_reasoning","responses_reasoning","gpt_oss")}
