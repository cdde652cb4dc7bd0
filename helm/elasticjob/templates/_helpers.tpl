{{- define "elasticjob.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- /* The name of the release, followed by that of the chart unless it contains it. */ -}}
{{- define "elasticjob.fullname" -}}
{{- $name := include "elasticjob.name" . -}}
{{- $both := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- default $both .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "elasticjob.operator" -}}
{{ include "elasticjob.fullname" . }}-operator
{{- end -}}

{{- /* The name of cluster-scoped objects of this release. */ -}}
{{- define "elasticjob.clusterwide" -}}
{{ include "elasticjob.operator" . }}.{{ .Release.Namespace }}
{{- end -}}

{{- define "elasticjob.account" -}}
{{- $name := default (printf "operator-%s" (include "elasticjob.fullname" .)) .Values.serviceAccount.name -}}
{{- if hasPrefix "elasticjob-" $name -}}
{{- fail (printf "serviceAccount.name is %s: choose a name that does not begin with elasticjob-, which is reserved for the accounts of jobs" $name) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{- /* The accounts that templates may name, as a list in CEL. */ -}}
{{- define "elasticjob.accountList" -}}
{{- range .Values.templateServiceAccounts -}}
{{- if hasPrefix "elasticjob-" . -}}
{{- fail (printf "templateServiceAccounts has %s: leave out names that begin with elasticjob-, which are accounts of jobs" .) -}}
{{- else if eq . (include "elasticjob.account" $) -}}
{{- fail (printf "templateServiceAccounts has %s: leave it out, as it is the account of the operator" .) -}}
{{- end -}}
{{- end -}}
['{{ join "', '" .Values.templateServiceAccounts }}']
{{- end -}}

{{- define "elasticjob.selector" -}}
app.kubernetes.io/name: {{ include "elasticjob.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "elasticjob.labels" -}}
{{ include "elasticjob.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "elasticjob.image" -}}
{{- $repository := required "image.repository: required; set it to the operator's image, for example --set image.repository=registry.example.com/elasticjob-operator (docs/operations.md describes how to build it)" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ $repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- define "elasticjob.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "elasticjob.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}
