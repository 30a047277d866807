"use strict";
// Made by `make generate`; see tools/catalogues.py.
window.catalogue = {
 "%(all)s ms: %(open)s to open it, %(recognise)s to recognise": "%(all)s ms: %(open)s zum Öffnen, %(recognise)s zum Erkennen",
 "%(done)s of %(n)s picture looked at": [
  "%(done)s von %(n)s Bild angesehen",
  "%(done)s von %(n)s Bildern angesehen"
 ],
 "%(keyword)s is learned from %(n)s photo.": [
  "%(keyword)s wird aus %(n)s Foto gelernt.",
  "%(keyword)s wird aus %(n)s Fotos gelernt."
 ],
 "%(keyword)s: on %(n)s photo; about %(percent)s %% of them would be found": [
  "%(keyword)s: an %(n)s Foto; etwa %(percent)s %% davon würden gefunden",
  "%(keyword)s: an %(n)s Fotos; etwa %(percent)s %% davon würden gefunden"
 ],
 "%(label)s has %(n)s example.": [
  "%(label)s hat %(n)s Beispiel.",
  "%(label)s hat %(n)s Beispiele."
 ],
 "%(n)s answer": [
  "%(n)s Antwort",
  "%(n)s Antworten"
 ],
 "%(n)s answer about %(label)s; tagger learns from it now.": [
  "%(n)s Antwort zu %(label)s; tagger lernt jetzt daraus.",
  "%(n)s Antworten zu %(label)s; tagger lernt jetzt daraus."
 ],
 "%(n)s photo": [
  "%(n)s Foto",
  "%(n)s Fotos"
 ],
 "%(n)s photo selected": [
  "%(n)s Foto ausgewählt",
  "%(n)s Fotos ausgewählt"
 ],
 "%(name)s is forgotten.": "%(name)s ist vergessen.",
 "%(percent)s %% alike": "zu %(percent)s %% ähnlich",
 "%(percent)s %% likely": "zu %(percent)s %% wahrscheinlich",
 "%(word)s is your keyword of this photo": "%(word)s ist jetzt Ihr Schlagwort an diesem Foto",
 "Answer questions": "Fragen beantworten",
 "Boxes around: %(labels)s": "Rahmen um: %(labels)s",
 "Forget %(name)s? It goes from all photos.": "%(name)s vergessen? Es verschwindet von allen Fotos.",
 "Is this %(label)s?": "Ist das %(label)s?",
 "It has your keyword, but looks unlike the others that have.": "Es hat Ihr Schlagwort, sieht aber anders aus als die übrigen.",
 "Keep it in %(folder)s": "In %(folder)s behalten",
 "Kept as %(path)s": "Behalten als %(path)s",
 "Larger than %(most)s MB": "Größer als %(most)s MB",
 "Looking at %(n)s more photo": [
  "%(n)s weiteres Foto wird angesehen",
  "%(n)s weitere Fotos werden angesehen"
 ],
 "Looking …": "Suche läuft …",
 "More photos": "Weitere Fotos",
 "No daemon runs": "Es läuft kein Dienst",
 "No tag would be written": "Es würde kein Schlagwort geschrieben",
 "None is on three photos that were looked at.": "Keines steht an drei Fotos, die angesehen wurden.",
 "Only the first %(most)s are taken.": "Nur die ersten %(most)s werden genommen.",
 "Preview of %(name)s": "Vorschau von %(name)s",
 "Still needed: %(what)s.": "Noch nötig: %(what)s.",
 "Tags": "Schlagwörter",
 "Teach": "Beibringen",
 "Teach %(keyword)s": "%(keyword)s beibringen",
 "That was no answer": "Das war keine Antwort",
 "The page could not be reached": "Die Seite war nicht zu erreichen",
 "The page could not be reached: %(why)s": "Die Seite war nicht zu erreichen: %(why)s",
 "There is nothing more to ask about %(label)s.": "Zu %(label)s gibt es nichts mehr zu fragen.",
 "Up to date": "Auf dem neuesten Stand",
 "Up to date, %(n)s failed": [
  "Auf dem neuesten Stand, %(n)s fehlgeschlagen",
  "Auf dem neuesten Stand, %(n)s fehlgeschlagen"
 ],
 "being looked at…": "wird angesehen …",
 "choose a smaller picture": "ein kleineres Bild wählen",
 "failed": "fehlgeschlagen",
 "missing": "fehlt",
 "no preview": "keine Vorschau",
 "pasted picture": "eingefügtes Bild",
 "reload the page": "die Seite neu laden",
 "see whether tagger runs": "nachsehen, ob tagger läuft",
 "sending, %(percent)s %%": "wird gesendet, %(percent)s %%",
 "tagged": "verschlagwortet",
 "untagged": "ohne Schlagwort",
 "waiting": "wartet",
 "waiting for its turn": "wartet, bis es an der Reihe ist",
 "your own": "eigenes"
};
