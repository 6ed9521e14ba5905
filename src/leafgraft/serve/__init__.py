"""The service: answers over HTTP, and the page for people (``leafgraft serve``)."""
