"""The ElasticJob resource: pydantic models, the CRD made from them, rules that refuse bad input."""
