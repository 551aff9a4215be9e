// caller.mjs URL KEY CERTIFICATE CA HUB_CERTIFICATE 11|12: calls the documents service with the npm package `soap`.
//
// What is asked and answered through standard input and output: ../toolkits.py.  HUB_CERTIFICATE is not used: the package does not
// verify answers.
import { readFileSync } from "node:fs";
import { Agent } from "node:https";
import { createInterface } from "node:readline";
import axios from "axios";
import soap from "soap";

const [url, key, certificate, ca, , version] = process.argv.slice(2);
const read = (path) => readFileSync(path, "utf8");

// One agent for the WSDL and the calls: it shows our certificate, and believes the hub's CA alone.
const agent = new Agent({ key: read(key), cert: read(certificate), ca: read(ca), keepAlive: true });
const request = axios.create({ httpsAgent: agent, proxy: false });
const client = await soap.createClientAsync(`${url}?wsdl`, { request, forceSoap12Headers: version === "12" });
client.setSecurity(new soap.WSSecurityCert(read(key), read(certificate), ""));
const service = client.Documents[`DocumentsSoap${version}`];

function call(operation, fields) {
  return new Promise((resolve) => {
    service[operation](fields, (error, result, raw) => resolve({ error, result, raw }));
  });
}

function* leaves(name, value) {
  if (Array.isArray(value)) for (const each of value) yield* leaves(name, each);
  else if (value instanceof Date) yield [name, value.toISOString()];
  else if (value !== null && typeof value === "object")
    for (const [inner, each] of Object.entries(value)) inner === "attributes" || (yield* leaves(inner, each));
  else yield [name, value];
}

// `soap` reads a fault, too, into an object; its shape is that of the SOAP version.
function* faultOf(error) {
  const fault = error.root?.Envelope?.Body?.Fault;
  if (!fault) yield ["Error", error.message];
  else if (version === "12") yield* [["Fault", fault.Code.Value], ["Text", [fault.Reason.Text].flat()[0].$value], ...leaves("", fault.Detail)];
  else yield* [["Fault", fault.faultcode], ["Text", fault.faultstring.$value], ...leaves("", fault.detail)];
}

for await (const line of createInterface({ input: process.stdin })) {
  const [operation, ...pairs] = line.split("\t");
  const fields = Object.fromEntries(pairs.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]));
  if (fields.Packet) fields.Packet = readFileSync(fields.Packet).toString("base64");
  const { error, result, raw } = await call(operation, fields);
  const said = error ? [...faultOf(error)] : [...leaves("", result), ["Raw", Buffer.from(raw).toString("base64")]];
  process.stdout.write(said.map(([name, value]) => `${name}\t${String(value).replace(/\s+/g, " ")}\n`).join("") + ".\n");
}
process.exit(0); // the agent keeps its connection
