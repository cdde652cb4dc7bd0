{{- /* Exactly what the operator does: tests/helm compares this list with recorded requests. The verbs for Leases
include those of elasticjob-agent, so that the operator may bind that role without the right `bind`. */ -}}
{{- define "elasticjob.operatorRules" -}}
- apiGroups: [elasticjob.dev]
  resources: [elasticjobs]
  verbs: [get, list, watch]
- apiGroups: [elasticjob.dev]
  resources: [elasticjobs/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [create, delete, get, list, watch]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create, delete, get, list, patch, update, watch]
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [create, delete, get]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [rolebindings]
  verbs: [create, delete, get]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create, delete, get, list]
- apiGroups: [""]
  resources: [events]
  verbs: [create, get, patch]
{{- end -}}

{{- define "elasticjob.operatorSubjects" -}}
- kind: ServiceAccount
  name: {{ include "elasticjob.account" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
