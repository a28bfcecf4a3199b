const { schema, signIn } = document.getElementById("docs").dataset;

const ui = SwaggerUIBundle({
  dom_id: "#docs",
  url: schema,
  deepLinking: true,
  displayRequestDuration: true,
  persistAuthorization: true,
  // Whoever signs in on this page sends the token with the requests that follow.
  responseInterceptor(response) {
    if (response.ok && new URL(response.url).pathname === signIn)
      ui.preauthorizeApiKey("bearer", response.body.access);
    return response;
  },
});
