"use strict";
// Messages of scripts in the page's language. catalogues/<language>.js, which comes before this,
// says what each English one is there; a message with a number has two translations, or one.
const { gettext, ngettext, number } = (() => {
  const language = document.documentElement.lang;
  const known = window.catalogue || {};
  const plural = new Intl.PluralRules(language);

  function number(value, digits = 0) {
    const places = { minimumFractionDigits: digits, maximumFractionDigits: digits };
    return value.toLocaleString(language, places);
  }

  function filled(text, values) {
    return text.replace(/%(?:\((\w+)\)s|%)/g, (all, name) => (name ? values[name] : "%"));
  }

  function gettext(message, values = {}) {
    return filled(known[message] || message, values);
  }

  function ngettext(one, many, n, values = {}) {
    const forms = known[one] || [one, many];
    const form = plural.select(n) === "one" ? forms[0] : forms[forms.length - 1];
    return filled(form, { n: number(n), ...values });
  }

  return { gettext, ngettext, number };
})();
