// The page of the API: Swagger UI draws openapi.json, and sends requests to this server.

const response = await fetch("openapi.json");
const spec = await response.json();
spec.servers = [{ url: new URL(".", location.href).href.slice(0, -1) }]; // also below the prefix of a proxy
window.SwaggerUIBundle({
  spec, dom_id: "#docs", deepLinking: true, tryItOutEnabled: true,
  defaultModelsExpandDepth: -1, // the operations show their own
  validatorUrl: null, // of another host
});
