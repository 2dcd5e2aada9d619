//! openmls's storage contract over [`Rows`]: one row per group and kind of value.
//!
//! A row's key is its kind and the encoded key openmls gives; its value starts with the format's
//! number. The codec is postcard: it writes no field names, which makes the row that every message
//! rewrites a third of what a self-describing codec needs. It therefore belongs to one exact
//! version of openmls; another version comes with another [`FORMAT`] and a migration.

use super::rows::{Row, Rows, StorageError};
use super::shape;
use openmls::group::GroupId;
use openmls_traits::storage::{CURRENT_VERSION as V, StorageProvider, traits};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

/// Of openmls 0.9.2's values in postcard.
const FORMAT: u8 = 1;

#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    Tree = 1,
    Context = 2,
    InterimTranscriptHash = 3,
    ConfirmationTag = 4,
    GroupState = 5,
    MessageSecrets = 6,
    ResumptionPsks = 7,
    OwnLeafIndex = 8,
    EpochSecrets = 9,
    EpochKeyPairs = 10,
    EncryptionKeyPair = 11,
    KeyPackage = 12,
    Psk = 13,
}

impl Rows {
    fn write<T: Serialize>(
        &self,
        kind: Kind,
        key: &impl Serialize,
        value: &T,
    ) -> Result<(), StorageError> {
        self.put(row_key(kind, key)?, Some(encode(value)?));
        Ok(())
    }

    fn fetch<T: DeserializeOwned>(
        &self,
        kind: Kind,
        key: &impl Serialize,
    ) -> Result<Option<T>, StorageError> {
        self.read(&row_key(kind, key)?, decode).transpose()
    }

    fn delete(&self, kind: Kind, key: &impl Serialize) -> Result<(), StorageError> {
        self.put(row_key(kind, key)?, None);
        Ok(())
    }

    /// The ids of all groups.
    pub(super) fn groups(&self) -> Vec<GroupId> {
        let id = |key: &[u8]| postcard::from_bytes(key).ok();
        self.under(&[Kind::GroupState as u8]).iter().filter_map(|key| id(key)).collect()
    }
}

fn row_key(kind: Kind, key: &impl Serialize) -> Result<Vec<u8>, StorageError> {
    postcard::to_extend(key, vec![kind as u8]).map_err(|_| StorageError::Encode)
}

/// Writes into a buffer of the right size, so that no half-grown copy of a key stays behind.
fn encode(value: &impl Serialize) -> Result<Row, StorageError> {
    let size = postcard::experimental::serialized_size(value).map_err(|_| StorageError::Encode)?;
    let mut row = Zeroizing::new(vec![0; 1 + size]);
    let (format, body) = row.split_first_mut().ok_or(StorageError::Encode)?;
    *format = FORMAT;
    postcard::to_slice(value, body).map_err(|_| StorageError::Encode)?;
    Ok(row)
}

fn decode<T: DeserializeOwned>(row: &[u8]) -> Result<T, StorageError> {
    let (&FORMAT, body) = row.split_first().ok_or(StorageError::Decode)? else {
        return Err(StorageError::Decode);
    };
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        _ => Err(StorageError::Decode),
    }
}

macro_rules! write {
    ($kind:ident, $name:ident<$a:ident, $b:ident>, $key:ident, $value:ident) => {
        fn $name<$a: traits::$a<V>, $b: traits::$b<V>>(
            &self,
            key: &$key,
            value: &$value,
        ) -> Result<(), StorageError> {
            self.write(Kind::$kind, key, value)
        }
    };
}

macro_rules! read {
    ($kind:ident, $name:ident<$a:ident, $b:ident>, $key:ident, $value:ident) => {
        fn $name<$a: traits::$a<V>, $b: traits::$b<V>>(
            &self,
            key: &$key,
        ) -> Result<Option<$value>, StorageError> {
            self.fetch(Kind::$kind, key)
        }
    };
}

macro_rules! delete {
    ($kind:ident, $name:ident<$key:ident>) => {
        fn $name<$key: traits::$key<V>>(&self, key: &$key) -> Result<(), StorageError> {
            self.delete(Kind::$kind, key)
        }
    };
}

impl StorageProvider<V> for Rows {
    type Error = StorageError;

    write!(Tree, write_tree<GroupId, TreeSync>, GroupId, TreeSync);
    read!(Tree, tree<GroupId, TreeSync>, GroupId, TreeSync);
    delete!(Tree, delete_tree<GroupId>);

    write!(Context, write_context<GroupId, GroupContext>, GroupId, GroupContext);
    read!(Context, group_context<GroupId, GroupContext>, GroupId, GroupContext);
    delete!(Context, delete_context<GroupId>);

    write!(
        InterimTranscriptHash,
        write_interim_transcript_hash<GroupId, InterimTranscriptHash>,
        GroupId,
        InterimTranscriptHash
    );
    read!(
        InterimTranscriptHash,
        interim_transcript_hash<GroupId, InterimTranscriptHash>,
        GroupId,
        InterimTranscriptHash
    );
    delete!(InterimTranscriptHash, delete_interim_transcript_hash<GroupId>);

    write!(
        ConfirmationTag,
        write_confirmation_tag<GroupId, ConfirmationTag>,
        GroupId,
        ConfirmationTag
    );
    read!(ConfirmationTag, confirmation_tag<GroupId, ConfirmationTag>, GroupId, ConfirmationTag);
    delete!(ConfirmationTag, delete_confirmation_tag<GroupId>);

    write!(GroupState, write_group_state<GroupState, GroupId>, GroupId, GroupState);
    read!(GroupState, group_state<GroupState, GroupId>, GroupId, GroupState);
    delete!(GroupState, delete_group_state<GroupId>);

    write!(MessageSecrets, write_message_secrets<GroupId, MessageSecrets>, GroupId, MessageSecrets);
    read!(MessageSecrets, message_secrets<GroupId, MessageSecrets>, GroupId, MessageSecrets);
    delete!(MessageSecrets, delete_message_secrets<GroupId>);

    write!(
        ResumptionPsks,
        write_resumption_psk_store<GroupId, ResumptionPskStore>,
        GroupId,
        ResumptionPskStore
    );
    read!(
        ResumptionPsks,
        resumption_psk_store<GroupId, ResumptionPskStore>,
        GroupId,
        ResumptionPskStore
    );
    delete!(ResumptionPsks, delete_all_resumption_psk_secrets<GroupId>);

    write!(OwnLeafIndex, write_own_leaf_index<GroupId, LeafNodeIndex>, GroupId, LeafNodeIndex);
    read!(OwnLeafIndex, own_leaf_index<GroupId, LeafNodeIndex>, GroupId, LeafNodeIndex);
    delete!(OwnLeafIndex, delete_own_leaf_index<GroupId>);

    write!(
        EpochSecrets,
        write_group_epoch_secrets<GroupId, GroupEpochSecrets>,
        GroupId,
        GroupEpochSecrets
    );
    read!(EpochSecrets, group_epoch_secrets<GroupId, GroupEpochSecrets>, GroupId, GroupEpochSecrets);
    delete!(EpochSecrets, delete_group_epoch_secrets<GroupId>);

    write!(
        EncryptionKeyPair,
        write_encryption_key_pair<EncryptionKey, HpkeKeyPair>,
        EncryptionKey,
        HpkeKeyPair
    );
    read!(
        EncryptionKeyPair,
        encryption_key_pair<HpkeKeyPair, EncryptionKey>,
        EncryptionKey,
        HpkeKeyPair
    );
    delete!(EncryptionKeyPair, delete_encryption_key_pair<EncryptionKey>);

    write!(KeyPackage, write_key_package<HashReference, KeyPackage>, HashReference, KeyPackage);
    read!(KeyPackage, key_package<HashReference, KeyPackage>, HashReference, KeyPackage);
    delete!(KeyPackage, delete_key_package<HashReference>);

    write!(Psk, write_psk<PskId, PskBundle>, PskId, PskBundle);
    read!(Psk, psk<PskBundle, PskId>, PskId, PskBundle);
    delete!(Psk, delete_psk<PskId>);

    fn write_encryption_epoch_key_pairs<
        GroupId: traits::GroupId<V>,
        EpochKey: traits::EpochKey<V>,
        HpkeKeyPair: traits::HpkeKeyPair<V>,
    >(
        &self,
        group_id: &GroupId,
        epoch: &EpochKey,
        leaf_index: u32,
        key_pairs: &[HpkeKeyPair],
    ) -> Result<(), StorageError> {
        self.write(Kind::EpochKeyPairs, &(group_id, epoch, leaf_index), &key_pairs)
    }

    fn encryption_epoch_key_pairs<
        GroupId: traits::GroupId<V>,
        EpochKey: traits::EpochKey<V>,
        HpkeKeyPair: traits::HpkeKeyPair<V>,
    >(
        &self,
        group_id: &GroupId,
        epoch: &EpochKey,
        leaf_index: u32,
    ) -> Result<Vec<HpkeKeyPair>, StorageError> {
        let pairs = self.fetch(Kind::EpochKeyPairs, &(group_id, epoch, leaf_index))?;
        Ok(pairs.unwrap_or_default())
    }

    fn delete_encryption_epoch_key_pairs<
        GroupId: traits::GroupId<V>,
        EpochKey: traits::EpochKey<V>,
    >(
        &self,
        group_id: &GroupId,
        epoch: &EpochKey,
        leaf_index: u32,
    ) -> Result<(), StorageError> {
        self.delete(Kind::EpochKeyPairs, &(group_id, epoch, leaf_index))
    }

    // The configuration is the program's, not the group's: it is not stored, and a group loaded by
    // a later version runs with that version's.

    fn write_mls_join_config<
        GroupId: traits::GroupId<V>,
        MlsGroupJoinConfig: traits::MlsGroupJoinConfig<V>,
    >(
        &self,
        _: &GroupId,
        _: &MlsGroupJoinConfig,
    ) -> Result<(), StorageError> {
        Ok(())
    }

    fn mls_group_join_config<
        GroupId: traits::GroupId<V>,
        MlsGroupJoinConfig: traits::MlsGroupJoinConfig<V>,
    >(
        &self,
        _: &GroupId,
    ) -> Result<Option<MlsGroupJoinConfig>, StorageError> {
        // The type is openmls's, hidden behind a trait that only serde can cross; JSON, because its
        // decoder asks the format what comes next.
        serde_json::to_value(shape::join_config())
            .and_then(serde_json::from_value)
            .map(Some)
            .map_err(|_| StorageError::Decode)
    }

    fn delete_group_config<GroupId: traits::GroupId<V>>(
        &self,
        _: &GroupId,
    ) -> Result<(), StorageError> {
        Ok(())
    }

    // Proposals travel inside commits only, and nobody proposes his own update: nothing queues.

    fn append_own_leaf_node<GroupId: traits::GroupId<V>, LeafNode: traits::LeafNode<V>>(
        &self,
        _: &GroupId,
        _: &LeafNode,
    ) -> Result<(), StorageError> {
        Err(StorageError::Unsupported)
    }

    fn own_leaf_nodes<GroupId: traits::GroupId<V>, LeafNode: traits::LeafNode<V>>(
        &self,
        _: &GroupId,
    ) -> Result<Vec<LeafNode>, StorageError> {
        Ok(Vec::new())
    }

    fn delete_own_leaf_nodes<GroupId: traits::GroupId<V>>(
        &self,
        _: &GroupId,
    ) -> Result<(), StorageError> {
        Ok(())
    }

    fn queue_proposal<
        GroupId: traits::GroupId<V>,
        ProposalRef: traits::ProposalRef<V>,
        QueuedProposal: traits::QueuedProposal<V>,
    >(
        &self,
        _: &GroupId,
        _: &ProposalRef,
        _: &QueuedProposal,
    ) -> Result<(), StorageError> {
        Err(StorageError::Unsupported)
    }

    fn queued_proposal_refs<GroupId: traits::GroupId<V>, ProposalRef: traits::ProposalRef<V>>(
        &self,
        _: &GroupId,
    ) -> Result<Vec<ProposalRef>, StorageError> {
        Ok(Vec::new())
    }

    fn queued_proposals<
        GroupId: traits::GroupId<V>,
        ProposalRef: traits::ProposalRef<V>,
        QueuedProposal: traits::QueuedProposal<V>,
    >(
        &self,
        _: &GroupId,
    ) -> Result<Vec<(ProposalRef, QueuedProposal)>, StorageError> {
        Ok(Vec::new())
    }

    fn remove_proposal<GroupId: traits::GroupId<V>, ProposalRef: traits::ProposalRef<V>>(
        &self,
        _: &GroupId,
        _: &ProposalRef,
    ) -> Result<(), StorageError> {
        Ok(())
    }

    fn clear_proposal_queue<GroupId: traits::GroupId<V>, ProposalRef: traits::ProposalRef<V>>(
        &self,
        _: &GroupId,
    ) -> Result<(), StorageError> {
        Ok(())
    }

    // Signing keys are the engine's own rows.

    fn write_signature_key_pair<
        SignaturePublicKey: traits::SignaturePublicKey<V>,
        SignatureKeyPair: traits::SignatureKeyPair<V>,
    >(
        &self,
        _: &SignaturePublicKey,
        _: &SignatureKeyPair,
    ) -> Result<(), StorageError> {
        Err(StorageError::Unsupported)
    }

    fn signature_key_pair<
        SignaturePublicKey: traits::SignaturePublicKey<V>,
        SignatureKeyPair: traits::SignatureKeyPair<V>,
    >(
        &self,
        _: &SignaturePublicKey,
    ) -> Result<Option<SignatureKeyPair>, StorageError> {
        Ok(None)
    }

    fn delete_signature_key_pair<SignaturePublicKey: traits::SignaturePublicKey<V>>(
        &self,
        _: &SignaturePublicKey,
    ) -> Result<(), StorageError> {
        Ok(())
    }
}
