"use strict";
// Made by `make generate`; see tools/catalogues.py.
window.catalogue = {
 "%(all)s ms: %(open)s to open it, %(recognise)s to recognise": "%(all)s ms: %(open)s para abrirla, %(recognise)s para reconocer",
 "%(done)s of %(n)s picture looked at": [
  "%(done)s de %(n)s imagen examinada",
  "%(done)s de %(n)s imágenes examinadas",
  "%(done)s de %(n)s imágenes examinadas"
 ],
 "%(keyword)s is learned from %(n)s photo.": [
  "%(keyword)s se aprende a partir de %(n)s foto.",
  "%(keyword)s se aprende a partir de %(n)s fotos.",
  "%(keyword)s se aprende a partir de %(n)s fotos."
 ],
 "%(keyword)s: on %(n)s photo; about %(percent)s %% of them would be found": [
  "%(keyword)s: en %(n)s foto; se encontraría cerca del %(percent)s %% de ellas",
  "%(keyword)s: en %(n)s fotos; se encontraría cerca del %(percent)s %% de ellas",
  "%(keyword)s: en %(n)s fotos; se encontraría cerca del %(percent)s %% de ellas"
 ],
 "%(label)s has %(n)s example.": [
  "%(label)s tiene %(n)s ejemplo.",
  "%(label)s tiene %(n)s ejemplos.",
  "%(label)s tiene %(n)s ejemplos."
 ],
 "%(n)s answer": [
  "%(n)s respuesta",
  "%(n)s respuestas",
  "%(n)s respuestas"
 ],
 "%(n)s answer about %(label)s; tagger learns from it now.": [
  "%(n)s respuesta sobre %(label)s; tagger aprende ahora de ella.",
  "%(n)s respuestas sobre %(label)s; tagger aprende ahora de ellas.",
  "%(n)s respuestas sobre %(label)s; tagger aprende ahora de ellas."
 ],
 "%(n)s photo": [
  "%(n)s foto",
  "%(n)s fotos",
  "%(n)s fotos"
 ],
 "%(n)s photo selected": [
  "%(n)s foto seleccionada",
  "%(n)s fotos seleccionadas",
  "%(n)s fotos seleccionadas"
 ],
 "%(name)s is forgotten.": "%(name)s está olvidada.",
 "%(percent)s %% alike": "parecido del %(percent)s %%",
 "%(percent)s %% likely": "probabilidad del %(percent)s %%",
 "%(word)s is your keyword of this photo": "%(word)s es ahora su palabra clave de esta foto",
 "Answer questions": "Responder preguntas",
 "Boxes around: %(labels)s": "Marcos en torno a: %(labels)s",
 "Forget %(name)s? It goes from all photos.": "¿Olvidar %(name)s? Desaparece de todas las fotos.",
 "Is this %(label)s?": "¿Es esto %(label)s?",
 "It has your keyword, but looks unlike the others that have.": "Tiene su palabra clave, pero no se parece a las demás.",
 "Keep it in %(folder)s": "Guardarla en %(folder)s",
 "Kept as %(path)s": "Guardada como %(path)s",
 "Larger than %(most)s MB": "Mayor de %(most)s MB",
 "Looking at %(n)s more photo": [
  "Queda %(n)s foto por examinar",
  "Quedan %(n)s fotos por examinar",
  "Quedan %(n)s fotos por examinar"
 ],
 "Looking …": "Buscando …",
 "More photos": "Más fotos",
 "No daemon runs": "Ningún servicio en marcha",
 "No tag would be written": "No se escribiría ninguna etiqueta",
 "None is on three photos that were looked at.": "Ninguna está en tres fotos examinadas.",
 "Only the first %(most)s are taken.": "Solo se toman las primeras %(most)s.",
 "Preview of %(name)s": "Vista previa de %(name)s",
 "Still needed: %(what)s.": "Aún hace falta: %(what)s.",
 "Tags": "Etiquetas",
 "Teach": "Enseñar",
 "Teach %(keyword)s": "Enseñar %(keyword)s",
 "That was no answer": "Eso no fue una respuesta",
 "The page could not be reached": "No se pudo acceder a la página",
 "The page could not be reached: %(why)s": "No se pudo acceder a la página: %(why)s",
 "There is nothing more to ask about %(label)s.": "No hay nada más que preguntar sobre %(label)s.",
 "Up to date": "Al día",
 "Up to date, %(n)s failed": [
  "Al día, %(n)s con fallo",
  "Al día, %(n)s con fallo",
  "Al día, %(n)s con fallo"
 ],
 "being looked at…": "se está examinando…",
 "choose a smaller picture": "elija una imagen más pequeña",
 "failed": "con fallo",
 "missing": "ausente(s)",
 "no preview": "sin vista previa",
 "pasted picture": "imagen pegada",
 "reload the page": "recargue la página",
 "see whether tagger runs": "compruebe si tagger está en marcha",
 "sending, %(percent)s %%": "enviando, %(percent)s %%",
 "tagged": "etiquetada(s)",
 "untagged": "sin etiqueta",
 "waiting": "en espera",
 "waiting for its turn": "espera su turno",
 "your own": "suya"
};
