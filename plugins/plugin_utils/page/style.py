# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page's looks: one blue for what is measured, grey for what is requested, colour never alone.

Text keeps 4.5:1 to its ground and the ends of the bars 3:1 (WCAG 2.2, 1.4.3 and 1.4.11), light and dark.
"""

from __future__ import annotations

LIGHT = {
    "ground": "#ffffff",
    "card": "#f6f8fa",
    "ink": "#1b2129",
    "muted": "#56606c",
    "line": "#d3dae2",
    "track": "#e9eef3",
    "requested": "#bccad9",
    "tick": "#5b6b7d",
    "used": "#1f5c99",
    "fail": "#a3242b",
    "warn": "#7a5200",
}
DARK = {
    "ground": "#12161b",
    "card": "#1a2027",
    "ink": "#e7ebef",
    "muted": "#a2adb9",
    "line": "#343d47",
    "track": "#262e37",
    "requested": "#41536a",
    "tick": "#a2adb9",
    "used": "#8abcf0",
    "fail": "#ff938c",
    "warn": "#edbd5e",
}


def _variables(palette: dict[str, str]) -> str:
    return ";".join(f"--{name}:{value}" for name, value in palette.items())


CSS = (
    f":root{{color-scheme:light dark;{_variables(LIGHT)}}}\n"
    f"@media screen and (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}\n"
    """\
*{box-sizing:border-box}
[hidden]{display:none!important}
html{-webkit-text-size-adjust:100%;scroll-padding-top:1rem}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;
font-variant-numeric:tabular-nums}
header,main,footer{max-width:1200px;margin:0 auto;padding:0 24px}
header{padding-top:28px}
h1{font-size:1.75rem;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{font-size:1.2rem;line-height:1.3;margin:40px 0 4px}
h3{font-size:1rem;margin:0}
p{margin:0 0 8px}
a{color:inherit;text-underline-offset:2px}
a:focus-visible,input:focus-visible,summary:focus-visible{outline:2px solid var(--used);outline-offset:2px}
.m{color:var(--muted)}
.s{font-size:.8125rem;line-height:1.4}
td>span.s,th>span.s{display:inline-block}
.facts{display:grid;grid-template-columns:repeat(6,1fr);gap:12px;margin:20px 0 0}
.facts>div{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px 14px;min-width:0;grid-column:span 2}
.facts dt{font-size:.8125rem;color:var(--muted)}
.facts dd{margin:0}
.facts .n{font-size:1.25rem;font-weight:600}
.s>i,.s>b{display:block;font-style:normal}
.p{font-weight:600;font-size:1.0625rem}
.w{font-weight:600;white-space:nowrap}
.w::before{content:attr(data-g);display:inline-block;width:1.25em;height:1.25em;margin-right:.4em;border:1.5px solid;border-radius:50%;
font-size:.75em;line-height:1.1em;text-align:center;vertical-align:.1em}
.w.fail::before{border-radius:3px}
.w.unknown::before{border-style:dashed}
.fail{color:var(--fail)}
.warn{color:var(--warn)}
.unknown{color:var(--muted)}
.todo{list-style:none;margin:8px 0 0;padding:0;border:1px solid var(--line);border-radius:8px}
.todo>li{padding:10px 14px;display:grid;grid-template-columns:7rem 1fr;gap:12px}
.todo>li+li{border-top:1px solid var(--line)}
.todo ul{margin:2px 0 0;padding:0;list-style:none}
.todo li li,td{overflow-wrap:anywhere}
summary{cursor:pointer;color:var(--muted)}
table{width:100%;border-collapse:collapse;margin-top:8px}
th,td{text-align:left;vertical-align:top;padding:10px 16px 10px 0;font-weight:400}
th:last-child,td:last-child{padding-right:0}
thead th{font-size:.8125rem;color:var(--muted);border-bottom:1px solid var(--tick);padding-bottom:6px}
tbody tr{border-bottom:1px solid var(--line)}
tbody tr:target{background:var(--card)}
th b{font-size:1rem;overflow-wrap:anywhere}
.nodes{table-layout:fixed}
.nodes th:first-child{width:17%}
.nodes th:last-child{width:21%}
.spaces th:first-child{width:24%}
.spaces th:last-child{width:46%}
.num{text-align:right;white-space:nowrap}
.checks{table-layout:fixed}
.checks th{overflow-wrap:anywhere}
.checks th:nth-child(1){width:11%}
.checks th:nth-child(2){width:22%}
.checks th:nth-child(3){width:9%}
.l{display:none}
.b{display:block;width:100%;height:14px;margin:5px 0;border-radius:2px;background:var(--track);overflow:hidden}
.r{fill:var(--requested)}
.t{fill:var(--tick)}
.u{fill:var(--used)}
.h .u{fill:var(--fail)}
.old{fill:url(#old);stroke:var(--tick)}
.hatch{stroke:var(--tick);stroke-width:1.5}
.defs{position:absolute}
.none{margin:5px 0;border:1px dashed var(--tick);border-radius:2px;color:var(--muted);font-size:.75rem;line-height:12px;height:14px;padding:0 6px}
.q{display:grid;grid-template-columns:minmax(0,1fr) 6rem 4.2rem;gap:2px 12px;align-items:center;margin:0}
.q dt,.q dd{margin:0;overflow-wrap:anywhere}
.q .b{height:8px;margin:0}
.q .none{margin:0;height:8px}
.key{display:flex;flex-wrap:wrap;gap:4px 20px;margin:6px 0 0;padding:0;list-style:none}
.key svg,.key .none{display:inline-block;width:56px;vertical-align:middle;margin:0 8px 0 0}
#find{display:block;margin:12px 0 0;padding:8px 12px;width:20rem;max-width:100%;font:inherit;color:inherit;background:var(--ground);
border:1px solid var(--tick);border-radius:6px}
#find::placeholder{color:var(--muted);opacity:1}
footer{padding-top:40px;padding-bottom:40px}
footer p{max-width:75ch}
@media screen and (max-width:720px){
header,main,footer{padding-left:16px;padding-right:16px}
header{padding-top:20px}
.facts>div{grid-column:span 6}
.facts>.k{grid-column:span 2;padding:10px}
.facts .k .n{font-size:.9375rem}
.todo>li{grid-template-columns:1fr;gap:2px}
table,tbody,tr,td,tbody th{display:block;width:auto!important}
thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
tbody tr{padding:14px 0}
td,tbody th{padding:0 0 8px}
.l{display:inline;color:var(--muted);margin-right:.5em}
.nodes .l{display:block;font-size:.8125rem;margin:2px 0 0}
.spaces .num{display:inline-block;text-align:left;margin-right:16px}
.spaces>tbody>tr>td:last-child>.l{display:block}
.q .num{display:block;margin:0;text-align:right}
.s>i:not(.o){display:inline}
.s>i+i:not(.o)::before{content:"\\b7  "}
}
@media print{
@page{margin:12mm}
html{font-size:12px}
body{font-size:.9375rem}
.spaces th:last-child{width:54%}
.q{grid-template-columns:minmax(0,1fr) 3rem 4.2rem}
header,main,footer{max-width:none;padding-left:0;padding-right:0}
h2{margin-top:20px;break-after:avoid}
.nodes tr,.checks tr,.todo>li,.facts>div,.key{break-inside:avoid}
h2+p,.key{break-after:avoid}
#find,summary{display:none}
details::details-content{content-visibility:visible;height:auto}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
a{text-decoration:none}
}
"""
)
