"use strict";
// Made by `make generate`; see tools/catalogues.py.
window.catalogue = {
 "%(all)s ms: %(open)s to open it, %(recognise)s to recognise": "%(all)s ms : %(open)s pour l’ouvrir, %(recognise)s pour reconnaître",
 "%(done)s of %(n)s picture looked at": [
  "%(done)s image sur %(n)s examinée",
  "%(done)s images sur %(n)s examinées",
  "%(done)s images sur %(n)s examinées"
 ],
 "%(keyword)s is learned from %(n)s photo.": [
  "%(keyword)s est appris à partir de %(n)s photo.",
  "%(keyword)s est appris à partir de %(n)s photos.",
  "%(keyword)s est appris à partir de %(n)s photos."
 ],
 "%(keyword)s: on %(n)s photo; about %(percent)s %% of them would be found": [
  "%(keyword)s : sur %(n)s photo ; environ %(percent)s %% en seraient trouvées",
  "%(keyword)s : sur %(n)s photos ; environ %(percent)s %% en seraient trouvées",
  "%(keyword)s : sur %(n)s photos ; environ %(percent)s %% en seraient trouvées"
 ],
 "%(label)s has %(n)s example.": [
  "%(label)s a %(n)s exemple.",
  "%(label)s a %(n)s exemples.",
  "%(label)s a %(n)s exemples."
 ],
 "%(n)s answer": [
  "%(n)s réponse",
  "%(n)s réponses",
  "%(n)s réponses"
 ],
 "%(n)s answer about %(label)s; tagger learns from it now.": [
  "%(n)s réponse sur %(label)s ; tagger s’en sert maintenant pour apprendre.",
  "%(n)s réponses sur %(label)s ; tagger s’en sert maintenant pour apprendre.",
  "%(n)s réponses sur %(label)s ; tagger s’en sert maintenant pour apprendre."
 ],
 "%(n)s photo": [
  "%(n)s photo",
  "%(n)s photos",
  "%(n)s photos"
 ],
 "%(n)s photo selected": [
  "%(n)s photo sélectionnée",
  "%(n)s photos sélectionnées",
  "%(n)s photos sélectionnées"
 ],
 "%(name)s is forgotten.": "%(name)s est oublié.",
 "%(percent)s %% alike": "ressemblance de %(percent)s %%",
 "%(percent)s %% likely": "probable à %(percent)s %%",
 "%(word)s is your keyword of this photo": "%(word)s est maintenant votre mot-clé pour cette photo",
 "Answer questions": "Répondre aux questions",
 "Boxes around: %(labels)s": "Cadres autour de : %(labels)s",
 "Forget %(name)s? It goes from all photos.": "Oublier %(name)s ? Il disparaît de toutes les photos.",
 "Is this %(label)s?": "Est-ce %(label)s ?",
 "It has your keyword, but looks unlike the others that have.": "Elle a votre mot-clé, mais ne ressemble pas aux autres.",
 "Keep it in %(folder)s": "Garder dans %(folder)s",
 "Kept as %(path)s": "Gardée sous %(path)s",
 "Larger than %(most)s MB": "Plus de %(most)s Mo",
 "Looking at %(n)s more photo": [
  "Encore %(n)s photo à examiner",
  "Encore %(n)s photos à examiner",
  "Encore %(n)s photos à examiner"
 ],
 "Looking …": "Recherche …",
 "More photos": "Plus de photos",
 "No daemon runs": "Aucun service en marche",
 "No tag would be written": "Aucune étiquette ne serait écrite",
 "None is on three photos that were looked at.": "Aucun n’est sur trois photos examinées.",
 "Only the first %(most)s are taken.": "Seules les %(most)s premières sont prises.",
 "Preview of %(name)s": "Aperçu de %(name)s",
 "Still needed: %(what)s.": "Encore nécessaire : %(what)s.",
 "Tags": "Étiquettes",
 "Teach": "Apprendre",
 "Teach %(keyword)s": "Apprendre %(keyword)s",
 "That was no answer": "Ce n’était pas une réponse",
 "The page could not be reached": "La page n’a pas pu être jointe",
 "The page could not be reached: %(why)s": "La page n’a pas pu être jointe : %(why)s",
 "There is nothing more to ask about %(label)s.": "Il n’y a plus rien à demander sur %(label)s.",
 "Up to date": "À jour",
 "Up to date, %(n)s failed": [
  "À jour, %(n)s en échec",
  "À jour, %(n)s en échec",
  "À jour, %(n)s en échec"
 ],
 "being looked at…": "en cours d’examen…",
 "choose a smaller picture": "choisissez une image plus petite",
 "failed": "en échec",
 "missing": "manquante(s)",
 "no preview": "pas d’aperçu",
 "pasted picture": "image collée",
 "reload the page": "rechargez la page",
 "see whether tagger runs": "voyez si tagger est en marche",
 "sending, %(percent)s %%": "envoi, %(percent)s %%",
 "tagged": "étiquetée(s)",
 "untagged": "sans étiquette",
 "waiting": "en attente",
 "waiting for its turn": "attend son tour",
 "your own": "à vous"
};
