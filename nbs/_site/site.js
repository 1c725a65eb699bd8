// What HTML and CSS cannot do: each block is one thing
"use strict";

// what scrolls can be reached by keyboard
for (const box of document.querySelectorAll("pre, .table-wrapper, .math-wrapper, .picture, .text_html")) {
  const wide = box.scrollWidth > box.clientWidth, high = box.scrollHeight > box.clientHeight;
  if (wide || high) box.tabIndex = 0;
}

// a link to what is folded opens it
function goToTarget() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  target.scrollIntoView();
}
addEventListener("hashchange", goToTarget);
goToTarget();
// formulas make a page longer after it was opened
addEventListener("load", () => globalThis.MathJax?.startup?.promise?.then(goToTarget));

// the current page is in sight in the sidebar
const current = document.querySelector(".sidebar-tree .current-page"), sidebar = document.querySelector(".sidebar-scroll");
if (current && sidebar) {
  const below = current.getBoundingClientRect().bottom - sidebar.getBoundingClientRect().top;
  const top = sidebar.scrollTop + below - sidebar.clientHeight / 2;
  if (below > sidebar.clientHeight - 40) sidebar.scrollTo({ top, behavior: "instant" });
}

// on paper everything is open
addEventListener("beforeprint", () => {
  for (const box of document.querySelectorAll("details:not([open])")) {
    box.open = true;
    box.dataset.closed = "";
  }
});
addEventListener("afterprint", () => {
  for (const box of document.querySelectorAll("details[data-closed]")) {
    box.open = false;
    delete box.dataset.closed;
  }
});

// the key / begins a search
addEventListener("keydown", event => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, textarea")) return;
  event.preventDefault();
  document.querySelector(".sidebar-search").focus();
});
