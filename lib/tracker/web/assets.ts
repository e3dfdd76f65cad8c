// Has the style, the script and the icon of the web page, and the headers that let a browser run these and nothing else.

import { createHash } from "node:crypto";

/** Colours have a contrast of 4.5 : 1 or more on their ground, in the light and in the dark. */
export const STYLE = `
:root{color-scheme:light dark;--ground:#fff;--ink:#1b1f24;--soft:#57606a;--line:#d0d7de;--mark:#0b5cad;--have:#1a7f4b;--part:#b35900;--none:#8c959f}
@media(prefers-color-scheme:dark){:root{--ground:#12161b;--ink:#e8edf2;--soft:#a3adb8;--line:#343c46;--mark:#7ab8ff;--have:#4cc38a;--part:#ffb454;--none:#7d8793}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:70rem;padding:1rem;font:1.05rem/1.5 system-ui,sans-serif;background:var(--ground);color:var(--ink)}
a{color:var(--mark)}
a:focus-visible,input:focus-visible,button:focus-visible,summary:focus-visible{outline:3px solid var(--mark);outline-offset:2px}
h1{font-size:1.5rem;margin:.2rem 0}
h2{font-size:1.2rem;margin:1.4rem 0 .4rem}
.name{overflow-wrap:anywhere}
nav a{margin-right:1rem}
form{display:flex;gap:.5rem;margin:.8rem 0}
input{flex:1;min-width:0}
input,button{font:inherit;padding:.5rem .7rem;border:1px solid var(--soft);border-radius:.4rem;background:var(--ground);color:var(--ink)}
table{width:100%;border-collapse:collapse}
caption{text-align:left;color:var(--soft)}
th,td{text-align:left;padding:.45rem .6rem .45rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td.number,th.number{text-align:right;white-space:nowrap}
.soft{color:var(--soft)}
.big{font-size:2.2rem;font-weight:600;margin:.3rem 0}
.get{display:inline-block;padding:.5rem 1rem;border:2px solid var(--mark);border-radius:.4rem;font-weight:600;text-decoration:none}
code{overflow-wrap:anywhere}
svg.plot{width:100%;height:auto;display:block}
figure{margin:1rem 0}
.scale{display:flex;justify-content:space-between;margin:0;color:var(--soft);font-size:.9rem}
.have{fill:var(--have)}.part{fill:var(--part)}.none{fill:var(--none)}.curve{fill:none;stroke:var(--mark);stroke-width:2;vector-effect:non-scaling-stroke}.area{fill:var(--mark);opacity:.15}.axis{stroke:var(--line)}
.plots{display:grid;grid-template-columns:1fr 1fr;gap:1rem}
.qr{width:12rem;background:#fff;padding:1rem}
@media(max-width:40rem){.plots{grid-template-columns:1fr}.wide{display:none}}
@media(min-width:100rem){body{font-size:1.3rem;max-width:90rem}}
`;

/**
 * Keeps the page current. Without it the page is as it was when it was loaded. It replaces the inside of <main>, unless a person has
 * marked text there, and gives the focus back to the link that had it.
 */
export const SCRIPT = `
const main=document.querySelector("main"),at=main.dataset.live
if(at&&window.EventSource){
const source=new EventSource(at)
source.onmessage=({data})=>{
const marked=getSelection()
if(marked&&!marked.isCollapsed&&main.contains(marked.anchorNode))return
const focused=main.contains(document.activeElement)?document.activeElement.getAttribute("href"):null
main.innerHTML=JSON.parse(data)
if(focused!==null)for(const link of main.querySelectorAll("a"))if(link.getAttribute("href")===focused){link.focus({preventScroll:true});break}
}
addEventListener("pagehide",()=>source.close())
addEventListener("pageshow",(event)=>{if(event.persisted)location.reload()})
}
`;

/** Two sheets of paper, one behind the other. */
export const ICON =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path d="M6 3h13l7 7v19H6z" fill="#0b5cad"/><path d="M19 3v7h7" fill="#9cc7f2"/><path d="M10 17h12M10 22h8" stroke="#fff" stroke-width="2.5"/></svg>';

function hashOf(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}

/** Headers of every answer. Nothing is cached, because the room changes all the time. */
export const HEADERS: Record<string, string> = {
  "content-security-policy": [
    "default-src 'none'",
    `style-src ${hashOf(STYLE)}`,
    `script-src ${hashOf(SCRIPT)}`,
    "connect-src 'self'",
    "img-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join("; "),
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "cache-control": "no-store",
};
