//! The calls that the server knows, and which permission each of them needs.

/// One kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    GetProject,
    ListLogstores,
    GetLogstore,
    ListShards,
    SplitShard,
    MergeShards,
    GetCursor,
    GetCursorTime,
    PullLogs,
    PutLogs,
    CreateConsumerGroup,
    UpdateConsumerGroup,
    DeleteConsumerGroup,
    ListConsumerGroup,
    HeartBeat,
    GetCheckPoint,
    UpdateCheckPoint,
}

impl Action {
    /// The name by which access rules call it.
    pub fn permission(self) -> &'static str {
        match self {
            Action::GetProject => "log:GetProject",
            Action::ListLogstores => "log:ListLogStores",
            Action::GetLogstore => "log:GetLogStore",
            Action::ListShards => "log:ListShards",
            Action::SplitShard => "log:SplitShard",
            Action::MergeShards => "log:MergeShards",
            Action::GetCursor | Action::GetCursorTime | Action::PullLogs => "log:GetCursorOrData",
            Action::PutLogs => "log:PostLogStoreLogs",
            Action::CreateConsumerGroup => "log:CreateConsumerGroup",
            Action::UpdateConsumerGroup => "log:UpdateConsumerGroup",
            Action::DeleteConsumerGroup => "log:DeleteConsumerGroup",
            Action::ListConsumerGroup => "log:ListConsumerGroup",
            Action::HeartBeat => "log:ConsumerGroupHeartBeat",
            Action::GetCheckPoint => "log:GetConsumerGroupCheckPoint",
            Action::UpdateCheckPoint => "log:ConsumerGroupUpdateCheckPoint",
        }
    }
}
