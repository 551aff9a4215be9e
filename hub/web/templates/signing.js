// Signs a report with the signing tool that runs on this computer (hub/console/signing_tool.py describes its protocol), and sends
// what the tool returns with the page's own form.  Without this script the page works as before: download, sign, upload.
// Nothing is decided here: the hub checks the file as it checks any uploaded one.  Every text stands in the page, hidden until it is
// needed; what the tool says is shown as text.
"use strict";

(() => {
  const CONNECTING = 10_000; // milliseconds, after which the tool is taken to be absent
  const SHOWN = 300; // letters of what the tool says
  const part = document.getElementById("tool");
  if (part === null || !("WebSocket" in window)) return;
  const form = part.querySelector("form");
  const begin = part.querySelector("button[type=submit]");
  const stop = part.querySelector("button[type=button]");

  class Stopped extends Error {
    constructor(why, told = "") {
      super(why);
      this.told = told;
    }
  }

  const say = (why, told = "") => {
    for (const each of part.querySelectorAll("[data-said]")) {
      each.hidden = each.dataset.said !== why;
      for (const place of each.querySelectorAll("q")) place.textContent = each.hidden ? "" : told.slice(0, SHOWN);
    }
  };

  const getFile = async (signal) => {
    const proof = new URLSearchParams({ proof: form.elements.proof.value });
    const answer = await fetch(form.dataset.file, { method: "POST", body: proof, redirect: "error", signal }).catch(() => null);
    if (answer === null || !answer.ok) throw new Stopped("no-file");
    return answer.blob();
  };

  const encode = (file) =>
    new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
      reader.onerror = () => reject(new Stopped("no-file"));
      reader.readAsDataURL(file);
    });

  const ask = (content, signal) =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(part.dataset.address);
      let opened = false;
      const end = (why) => {
        clearTimeout(late);
        reject(new Stopped(why));
        socket.close();
      };
      const late = setTimeout(() => end("absent"), CONNECTING);
      signal.addEventListener("abort", () => end("cancelled"));
      socket.onopen = () => {
        opened = true;
        clearTimeout(late);
        say("waiting");
        socket.send(JSON.stringify({ Base64Content: content, ReturnSignatureOnly: "false", HashAlg: "Sha256", XmlDsigForm: "false" }));
      };
      socket.onmessage = (event) => {
        resolve(event.data);
        socket.close();
      };
      socket.onclose = () => end(opened ? "closed" : "absent");
    });

  const readAnswer = (text) => {
    let answer = null;
    try {
      answer = JSON.parse(text);
    } catch {
      // as any other answer that is not understood
    }
    if (answer === null || typeof answer !== "object" || answer.Status === undefined) throw new Stopped("not-understood");
    if (String(answer.Status) !== "0") {
      const told = String(answer.Error || answer.Message || "");
      throw new Stopped(/h(ủy|uỷ)|cancel/i.test(told) ? "cancelled" : "refused", `${told} (${answer.Status})`.trim());
    }
    const signed = answer.Signature;
    if (typeof signed !== "string" || signed === "") throw new Stopped("not-understood");
    if (signed.startsWith("<")) return signed;
    try {
      return Uint8Array.from(atob(signed), (letter) => letter.charCodeAt(0));
    } catch {
      throw new Stopped("not-understood");
    }
  };

  const send = (signed) => {
    const files = new DataTransfer();
    files.items.add(new File([signed], "signed.xml", { type: "application/xml" }));
    form.elements.file.files = files.files;
    form.submit();
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const waiting = new AbortController();
    const cancel = () => waiting.abort();
    begin.disabled = true;
    stop.hidden = false;
    stop.addEventListener("click", cancel);
    try {
      say("getting");
      const content = await encode(await getFile(waiting.signal));
      const signed = readAnswer(await ask(content, waiting.signal));
      say("sending");
      send(signed);
    } catch (stopped) {
      say(waiting.signal.aborted ? "cancelled" : stopped instanceof Stopped ? stopped.message : "absent", stopped.told);
      begin.disabled = false;
      begin.focus();
    } finally {
      stop.hidden = true;
      stop.removeEventListener("click", cancel);
    }
  });

  part.hidden = false;
})();
