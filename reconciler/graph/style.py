"""How pictures and pages look, light and dark by what the reader prefers. Marks are told by sign and line, too."""

from __future__ import annotations

from typing import Final

SVG_STYLE: Final = """
.topology { font: 12px ui-monospace, "DejaVu Sans Mono", Consolas, monospace; --line: #8c959f; --text: #1f2328;
  --lane: #f6f8fa; --box: #ffffff; --added: #1a7f37; --changed: #9a6700; --removed: #cf222e; }
.topology text { fill: var(--text); }
.topology .name { font-weight: bold; font-size: 13px; }
.topology .note { font-weight: normal; font-size: 12px; fill: var(--text); }
.topology .over text { paint-order: stroke; stroke: var(--lane); stroke-width: 5px; stroke-linejoin: round; }
.topology rect { stroke: var(--line); stroke-width: 1; }
.topology .lane rect { fill: var(--lane); }
.topology .apart rect { stroke-dasharray: 2 4; }
.topology .box rect { fill: var(--box); }
.topology .wire path { fill: none; stroke: var(--line); stroke-width: 1.5; }
.topology .wire circle { fill: var(--line); }
.topology .added > rect, .topology .wire.added path { stroke: var(--added); stroke-width: 3; }
.topology .changed > rect, .topology .wire.changed path { stroke: var(--changed); stroke-width: 3; }
.topology .removed > rect, .topology .wire.removed path { stroke: var(--removed); stroke-width: 3; stroke-dasharray: 7 5; }
.topology text.added, .topology tspan.added, .topology .added > .name { fill: var(--added); }
.topology text.changed, .topology tspan.changed, .topology .changed > .name { fill: var(--changed); }
.topology text.removed, .topology tspan.removed, .topology .removed > .name { fill: var(--removed); }
.topology a { cursor: pointer; }
.topology a:hover rect, .topology a:focus rect { stroke-width: 4; }
.topology a:hover > text { text-decoration: underline; }
@media (prefers-color-scheme: dark) {
  .topology { --line: #6e7681; --text: #e6edf3; --lane: #161b22; --box: #0d1117;
    --added: #3fb950; --changed: #d29922; --removed: #f85149; }
}
"""

PAGE_STYLE: Final = """
:root { color-scheme: light dark; --ground: #ffffff; --ink: #1f2328; --dim: #59636e; --rule: #d1d9e0;
  --added: #1a7f37; --changed: #9a6700; --removed: #cf222e; --chosen: #fff8c5; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #0d1117; --ink: #e6edf3; --dim: #9198a1; --rule: #3d444d;
    --added: #3fb950; --changed: #d29922; --removed: #f85149; --chosen: #2d2a12; }
}
body { margin: 0 auto; padding: 1rem 1.5rem 4rem; max-width: 80rem; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } h3 { font-size: 1rem; margin: 0 0 .4rem; }
code, td.what, td.place, .values { font: 13px ui-monospace, "DejaVu Sans Mono", Consolas, monospace; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem; border-bottom: 1px solid var(--rule); }
th { color: var(--dim); font-weight: 600; }
td.what { overflow-wrap: anywhere; } td.place { color: var(--dim); white-space: nowrap; }
tr.added .what, li.added { color: var(--added); } tr.changed .what { color: var(--changed); }
tr.removed .what, li.removed { color: var(--removed); }
.picture { overflow: auto; border: 1px solid var(--rule); border-radius: 8px; max-height: 75vh; }
section { padding: .6rem .8rem; margin: .6rem 0; border: 1px solid var(--rule); border-radius: 8px; }
section:target, tr:target, span:target { background: var(--chosen); outline: 2px solid var(--changed); }
details > summary { cursor: pointer; color: var(--dim); }
.values { margin: .3rem 0 .3rem 1rem; } .dim { color: var(--dim); }
.warning { border-left: 4px solid var(--changed); padding: .2rem .8rem; margin: .4rem 0; }
button { font: inherit; margin-left: 1rem; }
[hidden] { display: none; }
"""
