// openid_provider.mjs PORT KEY CERTIFICATE CONSOLE SECRET: the package `oidc-provider`, with one client, the hub.
//
// Its own pages for development sign in whoever types a name: the name is the subject.
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import Provider from "oidc-provider";

const [port, key, certificate, hub, secret] = process.argv.slice(2);
const provider = new Provider(`https://localhost:${port}`, {
  clients: [{
    client_id: "lienthong",
    client_secret: secret,
    redirect_uris: [`${hub}/sign-in/openid/sso`],
    post_logout_redirect_uris: [`${hub}/sign-in`],
  }],
  pkce: { required: () => true },
});
const tls = { key: readFileSync(key), cert: readFileSync(certificate) };
createServer(tls, provider.callback()).listen(Number(port), "127.0.0.1", () => console.log("ready"));
