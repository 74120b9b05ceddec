// The page is whole without this: it finds classes by name, and shows the photos behind a pair alone.
const figures = [...document.querySelectorAll("figure[data-pair]")], all = document.getElementById("all");
function show(pair) {
  for (const figure of figures) figure.hidden = Boolean(pair) && figure.dataset.pair !== pair;
  if (all) all.hidden = !pair;
}
for (const link of document.querySelectorAll("a[data-pair]")) link.addEventListener("click", () => show(link.dataset.pair));
if (all) all.addEventListener("click", () => show(""));
document.getElementById("find").addEventListener("input", event => {
  const text = event.target.value.trim().toLowerCase();
  for (const table of document.querySelectorAll(".findable")) {
    const details = table.closest("details");
    if (details && text) details.open = true;
    for (const row of table.querySelectorAll("tr:has(td)")) row.hidden = !row.textContent.toLowerCase().includes(text);
  }
});
