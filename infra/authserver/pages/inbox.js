// Puts new mails on top of the list, and keeps the times of the others right.
"use strict";

const EVERY_MILLISECONDS = 1000;
const list = document.getElementById("mails");
const template = document.getElementById("mail");

function fill(item, mail) {
  for (const name of ["recipient", "age", "code", "subject", "text"]) {
    const element = item.querySelector(`[data-mail="${name}"]`);
    if (element.textContent !== mail[name]) element.textContent = mail[name];
  }
}

function show(mail) {
  let item = document.getElementById(`mail-${mail.id}`);
  if (item === null) {
    item = template.content.firstElementChild.cloneNode(true);
    item.id = `mail-${mail.id}`;
    list.prepend(item);
  }
  fill(item, mail);
}

async function refresh() {
  if (document.hidden) return;
  try {
    const response = await fetch(list.dataset.source, { cache: "no-store" });
    if (!response.ok) return;
    const { mails } = await response.json();
    mails.reverse().forEach(show);
    document.getElementById("empty").hidden = list.childElementCount > 0;
  } catch {
    // The server may be starting again: the next second will tell.
  }
}

setInterval(refresh, EVERY_MILLISECONDS);
