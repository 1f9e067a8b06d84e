# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page's markup. Jinja escapes every value; a picture is hidden from screen readers because the words beside it say the same."""

from __future__ import annotations

SCRIPT = (
    "const i=document.getElementById('find'),r=[...document.querySelectorAll('.nodes tbody tr')],o=document.getElementById('found');"
    "i.hidden=false;i.addEventListener('input',()=>{let n=0;const q=i.value.toLowerCase();"
    "for(const e of r){e.hidden=!e.cells[0].textContent.toLowerCase().includes(q);n+=!e.hidden}o.textContent=q?n+' of '+r.length+' nodes':''})"
)
"""Filters the nodes by name; without it all are there."""

TEMPLATE = """\
{%- macro word(severity, text='') -%}
<span class="w {{ severity }}" data-g="{{ glyphs[severity] }}">{{ text or words[severity] }}</span>
{%- endmacro -%}
{%- macro picture(bar) -%}
{%- if bar.used is none -%}
<p class="none">use unknown</p>
{%- else -%}
<svg class="b{{ ' h' if bar.high }}" aria-hidden="true">
{%- if bar.requested is not none %}<rect class="r" width="{{ percent(bar.requested) }}" height="14"/>{% endif -%}
<rect class="{{ 'old' if bar.stale else 'u' }}" y="4" width="{{ percent(bar.used) }}" height="6"/>
{%- if bar.requested %}<rect class="t" x="{{ percent(bar.requested) }}" width="2" height="14" transform="translate(-2)"/>{% endif -%}
</svg>
{%- endif -%}
{%- endmacro -%}
{%- macro resource(bar) -%}
<span class="p{{ ' m' if bar.stale or bar.used is none }}{{ ' fail' if bar.high }}">
{%- if bar.high %}<span role="img" aria-label="high:">\u25b2</span> {% endif %}
{{- bar.percent }}</span> {{ bar.whole }}
{{- picture(bar) -}}
<span class="s m">{% for text in bar.amounts %}<i>{{ text }}</i> {% endfor -%}
{%- if bar.note and bar.stale %}<b>{{ bar.note }}</b>{% elif bar.note %}<i class="o">{{ bar.note }}</i>{% endif %}</span>
{%- endmacro -%}
{%- macro entries(item) -%}
<ul class="s">{% for entry in item.entries %}<li>{% if entry.anchor %}<a href="#{{ entry.anchor }}">{{ entry.name }}</a>{% else %}{{ entry.name }}{% endif %}
{%- if entry.detail %} <span class="m">{{ entry.detail }}</span>{% endif %}</li>{% endfor %}</ul>
{%- endmacro -%}
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src '{{ style_hash }}'; script-src '{{ script_hash }}'; img-src data:">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>{{ page.cluster_name }}: cluster report</title>
<style>{{ css }}</style>
</head>
<body>
<svg class="defs" width="0" height="0" aria-hidden="true"><pattern id="old" width="5" height="6" patternUnits="userSpaceOnUse">
<path class="hatch" d="M0 6 5 0"/></pattern></svg>
<header>
<h1>Cluster {{ page.cluster_name }}</h1>
<p class="m">Snapshot of <time datetime="{{ page.made_at.isoformat() }}">{{ moment(page.made_at) }}</time></p>
<dl class="facts">
{% for label, text in page.facts %}
<div class="k"><dt>{{ label }}</dt><dd class="n">{{ text }}</dd></div>
{% endfor %}
{% for bar in page.totals %}
<div><dt>{{ bar.label }}, all nodes</dt><dd>{{ resource(bar) }}</dd></div>
{% endfor %}
</dl>
</header>
<main>
<section aria-labelledby="attention">
<h2 id="attention">Needs attention</h2>
{% if page.attention %}
<ul class="todo">
{% for item in page.attention %}
<li>{{ word(item.severity) }}<div><h3>{{ item.title }}{% if item.entries|length > 1 %} <span class="m">({{ item.entries|length }})</span>{% endif %}</h3>
{%- if item.entries|length > 6 -%}
<details><summary class="s">Show where</summary>{{ entries(item) }}</details>
{%- else %}{{ entries(item) }}{% endif %}</div></li>
{% endfor %}
</ul>
{% else %}
<p>Nothing: {% if page.nodes %}every node is ready and reports, none is under pressure, {% endif %}no quota is nearly used up
{%- if page.verification %}, and the last verification found nothing wrong{% endif %}.</p>
{% endif %}
</section>
<section aria-labelledby="nodes">
<h2 id="nodes">Nodes</h2>
{% if page.nodes is none %}
<p>{{ word('unknown') }} The nodes could not be read.</p>
{% elif not page.nodes %}
<p>There are none.</p>
{% else %}
<p class="m">Worst first. A whole bar is what pods may have (allocatable).</p>
<ul class="key s m" aria-label="How to read the bars">
<li><svg class="b" aria-hidden="true"><rect class="u" y="4" width="60%" height="6"/></svg>used</li>
<li><svg class="b" aria-hidden="true"><rect class="r" width="60%" height="14"/>
<rect class="t" x="60%" width="2" height="14" transform="translate(-2)"/></svg>requested by pods</li>
<li><svg class="b" aria-hidden="true"><rect class="old" y="4" width="60%" height="6"/></svg>used when last heard of (stale)</li>
<li><span class="none" aria-hidden="true"></span>unknown</li>
<li><span class="fail" aria-hidden="true">\u25b2</span> {{ high }} % or more used</li>
</ul>
{% if filtered %}<input id="find" type="search" aria-label="Filter nodes by name" placeholder="Filter by name" hidden><output id="found" class="s m"></output>
{% endif %}
<table class="nodes" role="table" aria-labelledby="nodes">
<thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">Node</th>
{%- for label in labels %}<th role="columnheader" scope="col">{{ label }}</th>{% endfor -%}
<th role="columnheader" scope="col">Pressure and report</th></tr></thead>
<tbody role="rowgroup">
{% for node in page.nodes %}
<tr role="row" id="{{ node.anchor }}"><th role="rowheader" scope="row"><b>{{ node.name }}</b><br>
<span class="s m">{{ node.state }}<br>{{ node.pods }}</span></th>
{%- for bar in node.bars %}<td role="cell"><span class="l">{{ bar.label }}</span>{{ resource(bar) }}</td>{% endfor -%}
<td role="cell">{% for signal in node.signals %}{{ word(signal.severity) }} {{ signal.title }}
<br>{%- if signal.detail %}<span class="s m">{{ signal.detail }}</span><br>{% endif %}{% else %}No pressure<br>{% endfor -%}
<span class="s m">{{ node.source }}{% for taint in node.taints %}<br>Taint {{ taint }}{% endfor %}</span></td></tr>
{% endfor %}
</tbody>
</table>
{% endif %}
</section>
<section aria-labelledby="namespaces">
<h2 id="namespaces">Namespaces and quotas</h2>
{% if not page.namespaces %}
<p>{{ word('unknown') }} No namespace could be read.</p>
{% else %}
<p class="m">Those nearest to the end of a quota first.</p>
<table class="spaces" role="table" aria-labelledby="namespaces">
<thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">Namespace</th><th role="columnheader" scope="col" class="num">Pods</th>
<th role="columnheader" scope="col" class="num">CPU requested</th><th role="columnheader" scope="col" class="num">Memory requested</th>
<th role="columnheader" scope="col">Quota: used of hard</th></tr></thead>
<tbody role="rowgroup">
{% for space in page.namespaces %}
<tr role="row" id="{{ space.anchor }}"><th role="rowheader" scope="row"><b>{{ space.name }}</b></th>
<td role="cell" class="num"><span class="l">Pods</span>{{ space.pods }}</td><td role="cell" class="num"><span class="l">CPU requested</span>{{ space.cpu }}</td>
<td role="cell" class="num"><span class="l">Memory requested</span>{{ space.memory }}</td><td role="cell"><span class="l">Quota</span>
{%- if space.quota is none %}unknown{% elif not space.quota %}<span class="m">no quota</span>{% else %}<dl class="q s">{% for part in space.quota -%}
<dt>{{ part.resource }} <span class="m">{{ part.text }} ({{ part.quota }})</span></dt>
{%- if part.percent is none %}<dd class="none" aria-hidden="true"></dd><dd class="num">unknown</dd>{% else -%}
<dd><svg class="b{{ ' h' if part.high }}" aria-hidden="true"><rect class="u" width="{{ percent(part.percent) }}" height="8"/></svg></dd>
<dd class="num{{ ' fail' if part.high }}">{{ '\u25b2 ' if part.high }}{{ percent_text(part.percent) }}</dd>
{%- endif %}{% endfor %}</dl>{% endif %}</td></tr>
{% endfor %}
</tbody>
</table>
{% endif %}
</section>
<section aria-labelledby="verification">
<h2 id="verification">Last verification</h2>
{% if page.verification is none %}
<p class="m">None was given. Playbook verify keeps one with verify_json.</p>
{% else %}
<p>{{ word('ok', 'Passed') if page.verification.passed else word('fail', 'Not passed') }}
<time datetime="{{ page.verification.at.isoformat() }}">{{ moment(page.verification.at) }}</time>,
{{ age_text(page.verification.age) }} before this snapshot. <span class="m">{{ page.verification.summary }}</span></p>
{% if page.verification.rows %}
<table class="checks s" role="table" aria-labelledby="verification">
<thead role="rowgroup"><tr role="row">
{%- for label in ('Result', 'Check', 'Node', 'Expected', 'Observed', 'Look at') %}<th role="columnheader" scope="col">{{ label }}</th>{% endfor -%}
</tr></thead>
<tbody role="rowgroup">
{% for result in page.verification.rows %}
<tr role="row"><td role="cell">{{ word(result.status) }}</td><th role="rowheader" scope="row">{{ result.check }}</th>
<td role="cell"><span class="l">Node</span>{{ result.node }}</td><td role="cell"><span class="l">Expected</span>{{ result.expected or '-' }}</td>
<td role="cell"><span class="l">Observed</span>{{ result.observed or '-' }}</td>
<td role="cell" class="m"><span class="l">Look at</span>{{ result.hint or '-' }}</td></tr>
{% endfor %}
</tbody>
</table>
{% endif %}
{% endif %}
</section>
</main>
<footer class="s m">
<p>Used: what a node's NodeReport says, or the metrics API if that is missing or has expired.
Requested: the sum over the node's pods as the scheduler counts it.
All shares are of allocatable, so use by the system can exceed 100 %. CPU in cores, memory and disk in bytes with binary prefixes (1 GiB = 1024 MiB).
Disk: the filesystem of the kubelet.</p>
<p>Made by nodewise.cluster. Nothing on this page is loaded from elsewhere.</p>
</footer>
{% if filtered %}<script>{{ script }}</script>
{% endif %}
</body>
</html>
"""
