SwaggerUIBundle({
  dom_id: "#docs",
  url: document.getElementById("docs").dataset.schema,
  deepLinking: true,
  displayRequestDuration: true,
  persistAuthorization: true,
});
