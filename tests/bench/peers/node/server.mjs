// Takes signed calls as a user of express, xml-crypto, libxmljs2 and better-sqlite3 would write it, on two workers.
//
// Port, files and database are told by PEER_* in the environment.  The checks are the hub's: no DTD, the schemas of call and packet, a signature
// of Body and Timestamp whose certificate leads to the CA, a message id that is new.  A row is committed before the answer, which is not signed.
import cluster from "node:cluster";
import { createVerify, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { DOMParser } from "@xmldom/xmldom";
import Database from "better-sqlite3";
import express from "express";
import libxml from "libxmljs2";
import { SignedXml } from "xml-crypto";

const SOAP = "http://schemas.xmlsoap.org/soap/envelope/";
const DS = "http://www.w3.org/2000/09/xmldsig#";
const WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
const OURS = "urn:lienthong:documents:1";
const ECDSA = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256";
const { PEER_PORT, PEER_CA, PEER_DOCUMENTS, PEER_PACKETS, PEER_DATABASE } = process.env;

// xml-crypto knows no ECDSA, but takes an algorithm of one's own.
class EcdsaSha256 {
  getAlgorithmName() {
    return ECDSA;
  }
  verifySignature(material, key, value) {
    return createVerify("SHA256").update(material).verify({ key, dsaEncoding: "ieee-p1363" }, value, "base64");
  }
}

const ca = new X509Certificate(readFileSync(PEER_CA));
const schemas = [PEER_DOCUMENTS, PEER_PACKETS].map((path) => libxml.parseXml(readFileSync(path, "utf8"), { baseUrl: path }));
const known = new Map();

function trusted(token) {
  let found = known.get(token);
  if (!found) {
    const certificate = new X509Certificate(Buffer.from(token, "base64"));
    if (!certificate.checkIssued(ca) || !certificate.verify(ca.publicKey)) throw new Error("the CA has not issued the certificate");
    if (!(Date.parse(certificate.validFrom) <= Date.now() && Date.now() <= Date.parse(certificate.validTo))) throw new Error("not valid now");
    found = certificate.publicKey.export({ type: "spki", format: "pem" });
    known.set(token, found);
  }
  return found;
}

// Returns Body and Timestamp in the octets that were signed.
function believed(xml) {
  const call = new DOMParser().parseFromString(xml, "text/xml");
  const [token] = Array.from(call.getElementsByTagNameNS(WSSE, "BinarySecurityToken"));
  const found = call.getElementsByTagNameNS(DS, "Signature");
  if (found.length !== 1) throw new Error("not one signature");
  const signature = new SignedXml({ publicCert: trusted(token.textContent), getCertFromKeyInfo: () => null, idMode: "wssecurity" });
  signature.SignatureAlgorithms[ECDSA] = EcdsaSha256;
  signature.loadSignature(found[0]);
  if (!signature.checkSignature(xml)) throw new Error("the signature does not hold");
  const signed = signature.getSignedReferences();
  const body = signed.find((each) => each.startsWith("<soap:Body"));
  const time = signed.find((each) => each.startsWith("<wsu:Timestamp"));
  if (!body || !time) throw new Error("Body or Timestamp is not signed");
  return [body, time];
}

function parse(xml) {
  const document = libxml.parseXml(xml, { nonet: true, huge: true });
  if (document.getDtd()) throw new Error("a DTD");
  return document;
}

function valid(document, schema) {
  if (!document.validate(schema)) throw new Error(`not valid: ${document.validationErrors[0]}`);
  return document;
}

function take(xml, insert) {
  const [body, time] = believed(xml);
  const [created, expires] = ["Created", "Expires"].map((name) => Date.parse(new RegExp(`<wsu:${name}>([^<]*)<`).exec(time)[1]));
  if (!(created - 60_000 <= Date.now() && Date.now() <= expires + 60_000)) throw new Error("not its time");
  const call = valid(parse(parse(body).root().child(0).toString()), schemas[0]);
  const text = (name) => call.get(`/d:SendDocument/d:${name}`, { d: OURS }).text();
  const packet = Buffer.from(text("Packet"), "base64");
  const document = valid(parse(packet.toString("utf8")), schemas[1]);
  insert.run(text("MessageId"), document.get("//*[local-name()='From']/*[local-name()='OrganId']").text(), new Date().toISOString(), packet);
}

function serve() {
  const database = new Database(PEER_DATABASE, { timeout: 60_000 });
  database.pragma("journal_mode = WAL");
  database.pragma("synchronous = FULL");
  database.exec("CREATE TABLE IF NOT EXISTS message (id TEXT PRIMARY KEY, sender TEXT, received_at TEXT, packet BLOB) WITHOUT ROWID");
  const insert = database.prepare("INSERT INTO message VALUES (?, ?, ?, ?)");
  const app = express();
  app.post("/soap/documents", express.raw({ type: "*/*", limit: "64mb" }), (request, response) => {
    let [status, success, errors] = [200, true, ""];
    try {
      take(request.body.toString("utf8"), insert);
    } catch (error) {
      [status, success, errors] = [400, false, `<Error><Code>${error.code ?? error.name}</Code><Description></Description></Error>`];
    }
    response.status(status).type("text/xml; charset=utf-8").send(
      `<soap:Envelope xmlns:soap="${SOAP}"><soap:Body><SendDocumentResponse xmlns="${OURS}"><Report><IsSuccess>${success}</IsSuccess>` +
        `<ErrorList>${errors}</ErrorList></Report></SendDocumentResponse></soap:Body></soap:Envelope>`,
    );
  });
  app.listen(Number(PEER_PORT), "127.0.0.1");
}

if (cluster.isPrimary) {
  for (let number = 0; number < 2; number++) cluster.fork();
  process.on("SIGTERM", () => process.exit(0));
} else serve();
