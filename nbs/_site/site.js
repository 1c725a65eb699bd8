// What scrolls can be reached by keyboard; a link to an entry opens its table of parameters; the key / begins a search
"use strict";
for (const box of document.querySelectorAll("pre, .table-wrapper, .math-wrapper")) if (box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight) box.tabIndex = 0;
const open = () => document.getElementById(decodeURIComponent(location.hash.slice(1)))?.parentElement.querySelector(":scope > dd > details")?.setAttribute("open", "");
addEventListener("hashchange", open);
open();
addEventListener("keydown", event => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea")) return;
  event.preventDefault();
  document.querySelector(".sidebar-search").focus();
});
