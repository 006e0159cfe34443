"""The style sheet of the HTML report: light and dark, wide and narrow, screen and paper."""

STYLE = """
:root{color-scheme:light dark;
--ground:#f7f8fa;--card:#fff;--ink:#151a24;--soft:#596273;--line:#e4e7ed;--tint:#f3f5f8;
--pass:#11693f;--pass-tint:#e7f5ed;--fail:#b3202b;--fail-tint:#fdecec;
--doubt:#835400;--doubt-tint:#fcf3dd;--still:#596273;--still-tint:#edf0f4;
--candidate:#3554d1;--champion:#b9570f;--allowed:#d9efe2}
@media (prefers-color-scheme:dark){:root{
--ground:#0e1117;--card:#161b23;--ink:#e7ebf2;--soft:#9ca6b6;--line:#28303c;--tint:#1c222c;
--pass:#63d69d;--pass-tint:#11291d;--fail:#ff9090;--fail-tint:#33191d;
--doubt:#f0c264;--doubt-tint:#2e2513;--still:#9ca6b6;--still-tint:#222935;
--candidate:#8fa8ff;--champion:#f2a66f;--allowed:#173526}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth;scroll-padding-top:24px}
body{margin:0;background:var(--ground);color:var(--ink);
font:15px/1.55 Inter,ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",
sans-serif;
font-variant-numeric:tabular-nums;overflow-wrap:break-word}
main{max-width:1080px;margin:0 auto;padding:32px 24px 64px}
h1,h2,h3,h4,p,dl,dd,ul,ol,figure,pre{margin:0}
h1,h2,h3,h4{line-height:1.2;letter-spacing:-.012em;font-weight:650;text-wrap:balance}
a{color:var(--candidate)}
a:focus-visible,summary:focus-visible,[tabindex]:focus-visible{outline:2px solid var(--candidate);
outline-offset:3px;border-radius:4px}
code,pre{font-family:ui-monospace,"SF Mono",SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",
monospace;
font-size:.87em;font-variant-ligatures:none}
.soft{color:var(--soft)}
.small{font-size:13px}
.banner{border-radius:16px;padding:28px 32px 30px;border:1px solid transparent}
.banner .who{font-size:13.5px;font-weight:550;letter-spacing:.01em}
.banner .word{display:flex;align-items:center;gap:12px;margin:14px 0 12px;font-size:34px;
letter-spacing:-.02em;font-weight:700}
.banner .why{color:var(--ink);font-size:19px;line-height:1.45;max-width:54em;text-wrap:pretty}
.banner .so{margin-top:10px;color:var(--ink);opacity:.75}
.next{display:flex;flex-wrap:wrap;gap:8px 12px;align-items:baseline;margin-top:18px;
color:var(--ink)}
.next span{font-size:13px;opacity:.75}.next ul{display:flex;flex-wrap:wrap;gap:8px;list-style:none;
padding:0}
.next code{display:block;background:var(--card);border-radius:7px;padding:3px 10px;font-size:13px}
.sign{display:inline-grid;place-items:center;width:1.2em;height:1.2em;border-radius:50%;flex:none;
background:currentColor;font-size:.84em;line-height:1}
.sign i{font-style:normal;color:var(--card);font-size:.72em;font-weight:800}
.pass{color:var(--pass)}.fail{color:var(--fail)}.inconclusive{color:var(--doubt)}
.not_applicable{color:var(--still)}
.banner.pass{background:var(--pass-tint)}.banner.fail{background:var(--fail-tint)}
.banner.inconclusive{background:var(--doubt-tint)}
.banner.not_applicable{background:var(--still-tint)}
.chip{display:inline-flex;align-items:center;gap:6px;padding:2px 10px 2px 4px;border-radius:99px;
font-size:11.5px;font-weight:650;letter-spacing:.035em;white-space:nowrap}
.chip.pass{background:var(--pass-tint)}.chip.fail{background:var(--fail-tint)}
.chip.inconclusive{background:var(--doubt-tint)}.chip.not_applicable{background:var(--still-tint)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));gap:1px;
margin-top:20px;
background:var(--line);border:1px solid var(--line);border-radius:14px;overflow:hidden}
.figures>div{background:var(--card);padding:16px 20px 18px}
.figures dt{color:var(--soft);font-size:13px}
.figures .big{font-size:27px;font-weight:620;letter-spacing:-.02em;line-height:1.25;margin:2px 0}
.figures .than{font-size:13px;color:var(--soft)}
.card{background:var(--card);border:1px solid var(--line);border-radius:14px;
padding:24px 28px 26px;
margin-top:20px;min-width:0}
.card>h2,.card>h3,.card>h4{font-size:17px;margin-bottom:4px}
.lead{color:var(--soft);max-width:52em;margin-bottom:14px}
.pair{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:20px;margin-top:20px}
.pair>.card{margin-top:0}.pair>.card:last-child:nth-child(odd){grid-column:1/-1}
.pair:has(.many)>.card:last-child:nth-child(odd){grid-column:auto}
.pair:has(.many)>.card:last-child:nth-child(even){grid-column:1/-1}
.pair>.card:last-child:nth-child(odd) svg[role]{max-width:560px}
table{width:100%;border-collapse:collapse}
th,td{text-align:left;vertical-align:top;padding:9px 16px 9px 0;
border-bottom:1px solid var(--line)}
th:last-child,td:last-child{padding-right:0}
tbody tr:last-child>*{border-bottom:0;padding-bottom:2px}
thead th{color:var(--soft);font-size:12.5px;font-weight:550;padding-top:4px;white-space:nowrap}
tbody th{font-weight:inherit}
td.n,th.n{text-align:right;white-space:nowrap}
.rules td{padding-top:15px;padding-bottom:15px}.rules tbody th{padding-top:13px;
padding-bottom:15px}
.rules tbody th{width:38%}
.rules .name{display:flex;flex-wrap:wrap;align-items:center;gap:8px 10px;font-weight:600}
.rules .name code{font-size:13.5px}
.rules .because{color:var(--soft);font-size:13.5px;line-height:1.5;margin-top:6px;font-weight:400;
text-wrap:pretty;max-width:62em}
.rules td.n{font-size:15px}
.rules td.seen{width:256px}
.rules td.seen .small{margin-bottom:2px;color:var(--soft)}
.rules.slices td,.rules.slices tbody th{padding-top:9px;padding-bottom:9px}
.rules.slices .because{margin-top:2px}.rules.slices .because:empty{display:none}
.rules .faint>*{opacity:.58}
details{margin-top:14px}
summary{cursor:pointer;color:var(--soft);font-size:13.5px;padding:4px 0;width:fit-content}
summary .chip{vertical-align:middle;margin-right:6px}
summary:hover{color:var(--ink)}
.checks{list-style:none;padding:0}
.checks li{display:flex;flex-wrap:wrap;align-items:center;gap:4px 10px;padding:8px 0;
border-bottom:1px solid var(--line)}
.checks li:last-child{border-bottom:0}
.checks~.lead,details~.lead{margin-top:18px}.scroll~.checks{margin-top:10px}
.checks>li>code{font-weight:600;font-size:13px}
.checks .because{color:var(--soft);font-size:13.5px;flex:1 1 320px}
.waiver{margin-top:14px;padding:10px 14px;border-radius:10px;background:var(--card);
border-left:3px solid var(--doubt);max-width:60em;color:var(--ink)}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(340px,1fr));gap:26px 40px;
margin-top:14px}
.grid .title{font-weight:600;margin-bottom:4px}
.names{display:inline-flex;flex-wrap:wrap;gap:4px 12px;list-style:none;padding:0;
margin:10px 0 0 10px}
.scroll{overflow-x:auto}.card:has(.many){grid-column:1/-1}
.confusion{width:auto;min-width:60%}
.confusion th,.confusion td{padding:10px 14px;border:2px solid var(--card);border-radius:8px}
.confusion td{min-width:84px;background:var(--tint)}
.confusion b{font-size:17px;font-weight:620}.confusion .than{display:block;font-size:12px;
color:var(--soft)}
.confusion .right{background:var(--pass-tint)}.confusion .wrong.share-0{background:var(--tint)}
.confusion .wrong{background:var(--fail-tint)}
.confusion thead th{white-space:normal}
.note{color:var(--soft);font-size:12px;font-weight:400}
svg{display:block;width:100%;height:auto;overflow:visible}
svg text{fill:var(--soft);font-size:12px;font-family:inherit}
svg .name{font-size:12.5px}
svg .grid{stroke:var(--line)}svg .axis{stroke:var(--soft);opacity:.55}
svg .ideal,svg .zero{stroke:var(--ink);opacity:.5;stroke-dasharray:4 4}
svg circle.candidate{fill:var(--candidate);fill-opacity:.62}
svg rect.candidate{fill:var(--candidate);fill-opacity:.55}
svg path.line{fill:none;stroke-width:2.2;stroke-linejoin:round}
svg path.line.candidate{stroke:var(--candidate)}
svg path.line.champion{stroke:var(--champion);stroke-dasharray:6 4;stroke-opacity:1}
svg path.faint{stroke-opacity:.4;stroke-dasharray:none!important;stroke-width:1.4}
svg line.thin{stroke-width:1.3;stroke-opacity:.55}
svg line.candidate{stroke:var(--candidate)}svg line.champion{stroke:var(--champion)}
svg rect.hollow{fill:var(--champion);fill-opacity:.16;stroke:var(--champion);stroke-width:1.2}
svg path.champion:not(.line){fill:none;stroke:var(--champion);stroke-width:1.3;stroke-opacity:.8}
svg .outline{fill:none;stroke:var(--champion);stroke-width:2;stroke-linejoin:round}
svg .allowed{fill:var(--allowed)}svg path.allowed{opacity:.55}
svg .bound{stroke:var(--ink);stroke-width:1.6}
svg .reach{stroke:currentColor;stroke-width:3}
svg .cap{stroke:currentColor;stroke-width:2}
svg .point{fill:currentColor;stroke:var(--card);stroke-width:1.6}
.legend{display:flex;flex-wrap:wrap;gap:4px 20px;font-size:13px;color:var(--soft);
margin:2px 0 10px;
list-style:none;padding:0}
.legend li{display:flex;align-items:center;gap:7px}
.legend svg{width:14px;height:14px}
figcaption{color:var(--soft);font-size:13.5px;margin-top:10px}
pre{background:var(--tint);border-radius:10px;padding:14px 16px;overflow-x:auto;line-height:1.6;
white-space:pre;overflow-wrap:normal}
pre .add{color:var(--pass)}pre .del{color:var(--fail)}pre .at{color:var(--soft)}
dl.facts{display:grid;grid-template-columns:max-content 1fr;gap:6px 24px;font-size:13.5px;
margin-top:12px}
dl.facts dt{color:var(--soft)}
dl.facts dd{min-width:0}
.tag{display:inline-block;border:1px solid var(--line);border-radius:6px;padding:0 7px;
font-size:12px;
color:var(--soft);white-space:nowrap}
footer{color:var(--soft);font-size:13px;margin-top:28px}
.top h1{font-size:38px;letter-spacing:-.028em}
.top p{color:var(--soft);font-size:17px;max-width:46em;margin-top:12px;text-wrap:pretty}
.path{list-style:none;padding:0;margin-top:28px;background:var(--card);
border:1px solid var(--line);
border-radius:14px;overflow:hidden}
.path li+li{border-top:1px solid var(--line)}
.path a{display:grid;grid-template-columns:28px minmax(120px,200px) 1fr auto;gap:4px 16px;
align-items:center;padding:13px 22px;color:inherit;text-decoration:none}
.path a:hover{background:var(--tint)}
.path b{font-weight:600}
.chapter{margin-top:72px}
.chapter>h2{font-size:27px;letter-spacing:-.02em}
.chapter>p{color:var(--soft);font-size:16px;max-width:50em;margin:8px 0 20px}
.chapter>.count{color:var(--soft);font-size:13px;font-weight:600;margin:0 0 6px}
@media (max-width:760px){
main{padding:16px 14px 40px}
.banner{padding:20px 20px 22px;border-radius:14px}.banner .word{font-size:27px}
.banner .why{font-size:17px}
.card{padding:18px 18px 20px}.pair{grid-template-columns:minmax(0,1fr)}
.figures{grid-template-columns:1fr 1fr}.figures>div{padding:13px 16px 14px}
.figures .big{font-size:23px}
.rules thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.rules tr{display:grid;grid-template-columns:repeat(3,1fr);gap:4px 12px;padding:16px 0;
border-bottom:1px solid var(--line)}
.rules tr:last-child{border-bottom:0;padding-bottom:0}
.rules tbody th,.rules tbody td{display:block;width:auto;border:0;padding:0;text-align:left}
.rules tbody th,.rules td.seen,.rules td.wide{grid-column:1/-1}
.rules td.seen{width:100%;margin-top:10px}.rules td.seen svg{max-width:290px}
.rules td[data-label]::before{content:attr(data-label);display:block;color:var(--soft);
font-size:12px}
.rules td.n{margin-top:8px}
.confusion{min-width:100%}.confusion th,.confusion td{padding:8px 9px}
.confusion td{min-width:70px}.grid{grid-template-columns:minmax(0,1fr)}
.figures>div:last-child:nth-child(odd){grid-column:1/-1}
.rules.slices tbody th,.rules.slices tbody td{padding:0}
dl.facts{grid-template-columns:1fr;gap:0}dl.facts dd{margin-bottom:8px}
.path a{grid-template-columns:24px 1fr auto;padding:12px 16px}.path .gist{grid-column:2/-1;order:4}
.top h1{font-size:29px}.chapter{margin-top:52px}}
@media print{:root{color-scheme:light}body{background:#fff}figure,tr,li{break-inside:avoid}
.card{break-inside:auto}main{max-width:none;padding:0}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
details::details-content{content-visibility:visible;height:auto}summary{list-style:none}}
"""
