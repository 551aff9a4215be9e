// letterbox.mjs PORT KEY CERTIFICATE CA HUB_CERTIFICATE FOLDER: takes the hub's pushes with `listen` of the npm package `soap`.
//
// The package answers calls and verifies nothing; `xml-crypto`, which it signs with itself, does.  Only what was signed reaches it.
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { DOMParser } from "@xmldom/xmldom";
import soap from "soap";
import { SignedXml } from "xml-crypto";

const SOAP = "http://schemas.xmlsoap.org/soap/envelope/";
const WSDL = fileURLToPath(new URL("../../../wsdl/lienthong/1/documents.wsdl", import.meta.url));
const [port, key, certificate, ca, hubCertificate, folder] = process.argv.slice(2);
const read = (path) => readFileSync(path, "utf8");
const hub = read(hubCertificate);

// Returns an envelope around the Body that the hub signed, with a Timestamp that is not over.
function believed(xml) {
  const found = new DOMParser().parseFromString(xml, "text/xml").getElementsByTagNameNS("http://www.w3.org/2000/09/xmldsig#", "Signature");
  if (found.length !== 1) throw new Error("not one signature");
  const signature = new SignedXml({ publicCert: hub, getCertFromKeyInfo: () => null, idMode: "wssecurity" });
  signature.loadSignature(found[0]);
  if (!signature.checkSignature(xml)) throw new Error("the signature does not fit");
  const signed = signature.getSignedReferences().map((each) => [new DOMParser().parseFromString(each, "text/xml").documentElement, each]);
  const body = signed.find(([part]) => part.namespaceURI === SOAP && part.localName === "Body");
  const time = signed.find(([part]) => part.localName === "Timestamp");
  if (!body || !time) throw new Error("Body or Timestamp is not signed");
  const [created, expires] = ["Created", "Expires"].map((name) => Date.parse(time[0].getElementsByTagNameNS("*", name)[0].textContent));
  if (!(created - 60_000 <= Date.now() && Date.now() < expires)) throw new Error("the Timestamp is over, or not yet");
  return `<soap:Envelope xmlns:soap="${SOAP}">${body[1]}</soap:Envelope>`;
}

function SendDocument({ MessageId, Packet }) {
  const packet = Buffer.from(Packet, "base64");
  writeFileSync(join(folder, basename(MessageId)), packet);
  const unwanted = packet.includes("D-unwanted") && { Error: [{ Code: "unwanted", Description: "Không nhận." }] };
  return { Report: { IsSuccess: !unwanted, ErrorList: unwanted || {} } };
}

const tls = { key: read(key), cert: read(certificate), ca: read(ca), requestCert: true, rejectUnauthorized: true };
const server = createServer(tls);
const services = { Documents: { DocumentsSoap11: { SendDocument }, DocumentsSoap12: { SendDocument } } };
soap.listen(server, { path: "/soap/documents", services, xml: read(WSDL), uri: WSDL, callback: ready });

// Between the wire and the package: read the body, believe it or answer a fault; the package takes `request.body` as it finds it.
function ready() {
  const [take] = server.listeners("request");
  server.removeAllListeners("request");
  server.on("request", async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    try {
      request.body = believed(Buffer.concat(chunks).toString("utf8"));
    } catch (error) {
      response.writeHead(500, { "Content-Type": "text/xml; charset=utf-8" });
      const text = error.message.replace(/[<&>]/g, "?");
      response.end(`<s:Envelope xmlns:s="${SOAP}"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>${text}</faultstring></s:Fault></s:Body></s:Envelope>`);
      return;
    }
    take(request, response);
  });
  server.listen(Number(port), "127.0.0.1", () => console.log("ready"));
}
